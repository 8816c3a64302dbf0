// The lane: a node's Unix SOCK_SEQPACKET socket for processes on the same host. It passes file
// descriptors instead of bytes, so node-local files are read and written at the disk's own speed,
// while the server stays the one judge of write-once. The verbs are described in docs/wire.md.
//
// One request, one reply, in order; a connection is used by one thread at a time. Stages belong to
// the connection: what is not sealed when it closes is dropped. Except what a check found good: the
// client may have told somebody that it is stored, so only its own drop gives it up. If the client
// dies, the server keeps it (dataserver/kept_stages.h).
//
// Message: 24-byte header in host byte order (both ends are one machine), then text.
//   u32 magic 'SKL1'; u32 verb (request) or errno, 0 = done (reply); u64 stage; u64 size_bytes
// Request text: the cluster path. Reply text: node id (hello), a kept stage, or what went wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/clock.h"
#include "core/error.h"
#include "core/fd.h"

namespace skein {

enum class LaneVerb : std::uint32_t {
  kHello = 1,   // reply text: the node id
  kOpen = 2,    // path -> read-only fd of a published file, its size
  kCreate = 3,  // path -> stage number and a read-write fd of an invisible file
  kSeal = 4,    // stage, path, size: publish; errno EEXIST if the name is taken by then
  kDrop = 5,    // stage: forget it
  kCheck = 6,   // stage, path, size: would kSeal succeed as things are? (exists, no space)
  kNextKept = 7,     // path: id of a kept stage or "" -> the one after it: "<id>/<path>", size, fd
  kPublishKept = 8,  // path: "<id>/<path>": publish a kept stage
  kDropKept = 9,     // path: id: forget a kept stage
  kRemoveDirectory = 10,  // path: take an empty directory away; errno ENOTEMPTY
};

struct LaneRequest {
  LaneVerb verb = LaneVerb::kHello;
  std::uint64_t stage = 0;
  std::uint64_t size_bytes = 0;
  std::string path;
};

struct LaneReply {
  int error = 0;  // errno value; 0 = done
  std::uint64_t stage = 0;
  std::uint64_t size_bytes = 0;
  std::string text;
  Fd fd;  // moved along with kOpen, kCreate and kNextKept
};

inline constexpr std::size_t kMaxLaneMessageBytes = 8192;

// Errors of the four: timed_out, broken_pipe, connection_reset, bad_message (not a lane message).
Result<void> send_request(int socket, const LaneRequest& request, Deadline deadline);
// nullopt: the peer closed.
Result<std::optional<LaneRequest>> receive_request(int socket, Deadline deadline);
// `fd` of the reply is duplicated into the peer; the caller's stays open.
Result<void> send_reply(int socket, const LaneReply& reply, Deadline deadline);
Result<LaneReply> receive_reply(int socket, Deadline deadline);

}  // namespace skein
