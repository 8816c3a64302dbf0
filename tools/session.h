// A command's connection to one cluster: the nodes found, and the client parts on top of them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "client/download.h"
#include "client/node_client.h"
#include "client/placement.h"
#include "client/union_listing.h"
#include "client/upload.h"
#include "core/error.h"
#include "discovery/membership.h"
#include "tools/command.h"

namespace skein {

class Session {
 public:
  // Finds the nodes. With --node only those are asked, so that no time goes to mDNS; else all
  // sources are, for at most kSettle. `cluster`: from a URI, in place of the setting.
  // Errors: host_unreachable (no node answered, or a --node is of another cluster);
  // invalid_argument (a node's URL).
  using Opened = Result<std::unique_ptr<Session>>;
  static Opened open(const Surroundings& with, const std::optional<std::string>& cluster = {});
  // The same, but no node is no error: for `skein nodes`.
  static Opened open_even_without(const Surroundings& with,
                                  const std::optional<std::string>& cluster);

  Membership& membership() { return *membership_; }
  NodeClient& client() { return client_; }
  Placement& placement() { return placement_; }
  Downloader& downloader() { return downloader_; }
  Uploader& uploader() { return uploader_; }
  NodeSnapshot nodes() const { return membership_->nodes(); }

  // list_union() of the nodes alive; nodes that are missing from it are reported once.
  Result<Listing> list(const ClusterPath& path, Messages& messages);

 private:
  Session(std::unique_ptr<Membership> membership, std::chrono::milliseconds timeout);

  // Known nodes that were set aside before they could be asked.
  void report_set_aside(Messages& messages);

  const std::unique_ptr<Membership> membership_;
  NodeClient client_;
  Placement placement_;
  Downloader downloader_;
  Uploader uploader_;
};

// kNoNode where that is why; else kWrongUsage. Says it.
ExitStatus refuse(const Surroundings& with, const Error& why);

}  // namespace skein
