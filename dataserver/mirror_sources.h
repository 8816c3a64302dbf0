// The other nodes of this server's cluster, as far as it has to know them: whom it may fetch files
// from when a request names the place (PUT ?MirrorSource=<url>): the
// nodes of its own cluster, and the addresses that its operator allows. Without such a rule anybody
// who reaches a server could make it ask any address that it can reach.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/node.h"
#include "discovery/membership.h"

namespace skein {

// A file on another server, as a URL names it.
struct MirrorSource {
  NodeAddress address;
  std::string target;  // to be sent as it is: printable ASCII
};

// "http://host:port/path". Characters that a target may not hold are percent-encoded, for PYME's
// clients send the URL less escaped than it should be. Errors: invalid_argument (another scheme, a
// user, no host, no path or that of a directory, control characters).
Result<MirrorSource> parse_mirror_source(std::string_view url);

class MirrorSources {
 public:
  struct Options {
    std::string cluster;
    std::vector<std::string> allowed;  // "host" or "host:port"
    bool mdns = false;                 // members are looked for where this server is advertised
    bool registry = false;
  };
  // `members`: those to go by instead of looking for them.
  explicit MirrorSources(Options options, std::unique_ptr<Membership> members = nullptr)
      : options_(std::move(options)), members_(std::move(members)) {}

  // The first call looks for the members of the cluster, which takes up to kSearchTime: most
  // servers are never asked to mirror, and need not watch the others. Thread-safe.
  static constexpr std::chrono::milliseconds kSearchTime{2000};
  // Errors of it and of settled(): resource_unavailable_try_again (no thread for that is to be had).
  Result<bool> allows(const NodeAddress& address);

  // False: no other node can be known.
  bool any() const { return options_.mdns || options_.registry; }
  // The nodes of the cluster that are alive, this one too; the first call waits as allows().
  Result<NodeList> settled();
  void report_failure(const std::string& key, const Error& why);

 private:
  bool listed(const NodeAddress& address) const;
  Result<Membership*> members();  // null: any() is false

  const Options options_;

  std::mutex mutex_;  // guards the pointer; a membership is never replaced
  std::unique_ptr<Membership> members_;
};

}  // namespace skein
