// Bytes that are given away instead of copied, as a camera's ring of buffers allows.
//
// They stay as they are until the last copy of `owner` is gone (their checksum is taken when they are
// sent, so nothing tells if they do not); its deleter is how they are taken
// back. What is given them lets go of `owner` exactly once, also where it refuses them: within the
// call, or later by a thread of its own, without locks held. So the deleter may wait for neither
// that call nor the streamer, nor call the streamer.
#pragma once

#include <memory>
#include <span>

namespace skein {

struct GivenBytes {
  std::span<const char> bytes;
  std::shared_ptr<const void> owner;  // null: they outlive what is given them
};

}  // namespace skein
