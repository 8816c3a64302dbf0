// The client's end of appends (docs/wire.md, "Appends"): finds the node that owns a growing file,
// keeps to it, and never starts a second file elsewhere. Text only.
//
// An append is not repeated unless the owner is a Skein node, which carries a request id out once:
// then it is sent again, with the same id, after a connection that broke. An owner that is down is
// an error of every append until it is back, under whatever address.
// Thread-safe; the references outlive it. Each call ends within a few timeouts.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "client/node_client.h"
#include "client/placement.h"
#include "core/error.h"
#include "core/node.h"
#include "core/path.h"
#include "discovery/membership.h"

namespace skein {

class ConnectionPool;

class Appender {
 public:
  // Most of one append that every node takes.
  static constexpr std::size_t kMostBytes = 256u << 20;

  Appender(NodeClient& client, Placement& placement, Membership& membership);
  ~Appender();

  struct Receipt {
    Node node;
    std::uint64_t offset = 0;  // where the range begins; 0 also if the node does not tell
  };
  // Appends `bytes` as one unbroken range to the file at `path`, which the first append makes.
  // Errors: operation_not_permitted (the file does not grow: put, or sealed), host_unreachable (no
  // node, or the owner is down: nothing was appended), not_connected (unclear: it may have been
  // appended), no_space_on_device, file_too_large, invalid_argument (nothing grows under such a
  // name), io_error.
  Result<Receipt> append(const ClusterPath& path, std::span<const char> bytes);

  // `node` was seen to have the file, so it gets the appends.
  void keep_to(const ClusterPath& path, const Node& node);

  // Ends growth. Returns the node that has the file. Errors: as append();
  // no_such_file_or_directory; not_supported (the owner is PYME's).
  Result<Node> seal(const ClusterPath& path);

 private:
  struct Request;
  struct Outcome;

  Result<Node> owner_of(const ClusterPath& path, bool may_make);
  Result<Node> alive(const std::string& key, const ClusterPath& path) const;
  Outcome send(const Node& node, const Request& request);
  Result<Receipt> carry_out(const Request& request, bool may_make);
  Error not_known(const ClusterPath& path, const Node& silent) const;

  NodeClient& client_;
  Placement& placement_;
  Membership& membership_;
  const std::unique_ptr<ConnectionPool> pool_;

  std::mutex mutex_;  // guards everything below
  std::map<std::string, std::string> pinned_;  // Node::key() by path text
};

}  // namespace skein
