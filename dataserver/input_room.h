// How much a client may send ahead of what is done with it. Left to itself the kernel lets 6 to 32 MiB
// for each connection pile up; no cache of a processor has room for that, and each byte is fetched
// from memory again. Three nodes on two cores, in shares of the bare receivers' rate: 0.74 of it
// without a bound, 0.78 to 0.82 with it at frames of 64 KiB, 0.90 and 0.98 at 8 MiB. 2 MiB are no better.
#pragma once

#include <filesystem>

namespace skein {

// In a room's network (10 Gb/s, 0.3 ms) 400 KB are under way at a time. The kernel doubles it for its
// own needs.
inline constexpr int kInputRoomBytes = 1 << 20;

// For SO_RCVBUF; 0: not to be set, because the kernel would give less than that.
int input_room_bytes(const std::filesystem::path& most = "/proc/sys/net/core/rmem_max");

}  // namespace skein
