// Stream sockets with deadlines. All descriptors are non-blocking and close-on-exec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/clock.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/node.h"

namespace skein {

// Waits for poll(2) `events` on fd. Errors: timed_out.
Result<void> wait_ready(int fd, short events, Deadline deadline);

// Connects to the first address the name resolves to that answers; TCP_NODELAY is set.
// Errors: timed_out, connection_refused, host_unreachable (also: name unknown), others as
// connect(2).
Result<Fd> connect_tcp(const NodeAddress& address, Deadline deadline);

// Begins a connection without waiting, for callers that have several under way: POLLOUT tells that
// it is decided, connect_outcome() how. Only the first look-up of a host name waits, until
// `deadline` (core/host_lookup.h). `skip` leaves out that many of the addresses the name resolves
// to, for the attempt after a failed one. Errors: host_unreachable (also: none left), timed_out.
Result<Fd> begin_connect(const NodeAddress& address, std::size_t skip, Deadline deadline);
Result<void> connect_outcome(int fd, const NodeAddress& address);

// Listens; port 0 = the kernel picks. A host name is looked up without a deadline.
// Errors: address_in_use, permission_denied, as bind(2).
Result<Fd> listen_tcp(const NodeAddress& address, int backlog);

// The port a listening or connected socket is bound to locally.
Result<NodeAddress> local_address(int fd);

}  // namespace skein
