// Where `skein stream` takes frames from.
#pragma once

#include <cstdint>
#include <memory>
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
  struct Frame {
    FrameView view;
    std::shared_ptr<const void> owner;  // of the pixels; null: they stay as long as the source
  };
  // Frames are asked for in order, from 0.
  virtual Result<Frame> frame(std::uint64_t index) = 0;
};

}  // namespace skein
