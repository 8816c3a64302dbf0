// Makes one data server known: by mDNS through the Avahi daemon, or by a file in this host's
// registry, or both. Listen before advertising (docs/wire.md, "Names, discovery, URIs").
//
// mDNS: PTR, SRV, TXT and A never change under one name. TXT: v=1, id=<node id>, host=<host id>,
// cluster=<name>. Survives a restart of avahi-daemon and its absence at start. A name that is taken
// by another host gets a number at its end.
// The destructor withdraws: goodbye sent, registry file removed. Stop accepting connections before
// or right after: a node that still answers counts as alive. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "core/error.h"
#include "core/node.h"

namespace skein {

class Advertiser {
 public:
  struct Options {
    bool mdns = true;
    bool registry = true;
    // Listens on every address of this host: announced on all interfaces, and registered with the
    // loopback address, which outlives a network that goes away. Otherwise node.address is the only
    // one, announced on the interface that has it.
    bool all_addresses = true;
    bool loopback_only = false;  // announce on the loopback interface only (bound to 127.0.0.1)
  };
  // `node`: address with the listening port, id, host_id, cluster, lane, and the instance name.
  // Errors: as make_run_dir() when the registry is asked for. mDNS trouble is logged, not returned.
  static Result<std::unique_ptr<Advertiser>> start(const Node& node, Options options);
  virtual ~Advertiser() = default;
};

}  // namespace skein
