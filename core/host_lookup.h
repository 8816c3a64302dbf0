// Host names to addresses within a deadline. getaddrinfo(3) has none: with a name server that is
// silent it takes half a minute. It runs in a thread of its own here, one per name; who asks waits
// as long as they like, and what was once found is told at once while it is looked up anew.
#pragma once

#include <netdb.h>

#include <memory>

#include "core/clock.h"
#include "core/error.h"
#include "core/node.h"

namespace skein {

using AddressList = std::shared_ptr<const addrinfo>;

// The addresses of a node, for stream sockets; never null. Numeric hosts need no look-up. Addresses
// found earlier are given without waiting, and kept while no name server answers. Memory: one entry
// per name ever asked for, all of which come from settings. Thread-safe.
// Errors: host_unreachable (also: name unknown), timed_out.
Result<AddressList> look_up(const NodeAddress& address, Deadline deadline);

}  // namespace skein
