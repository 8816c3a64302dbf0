// Where `skein stream` takes frames from.
#pragma once

#include <cstdint>
#include <optional>

#include "core/error.h"
#include "streamer/frame_view.h"

namespace skein {

// One thread at a time. Every frame has the size and type of shape().
class FrameSource {
 public:
  virtual ~FrameSource() = default;

  // Sizes and type; without pixels.
  virtual FrameView shape() const = 0;
  // How many frames there are; nullopt: as many as one asks for.
  virtual std::optional<std::uint64_t> count() const = 0;
  // Frames are asked for in order, from 0. Valid until the next call.
  virtual Result<FrameView> frame(std::uint64_t index) = 0;
};

}  // namespace skein
