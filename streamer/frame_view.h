// One camera frame in the camera's own memory: any strides, any of the pixel types.
// Pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "streamer/pzf.h"

namespace skein {

struct FrameView {
  const void* first = nullptr;  // pixel [0][0][0]; borrowed for the call
  PixelType type = PixelType::kUint16;
  std::uint32_t width = 0;   // axis 0, x
  std::uint32_t height = 0;  // axis 1, y
  std::uint32_t depth = 1;   // axis 2
  // Bytes from a pixel to its neighbour along each axis; may be negative, or 0 where a plane repeats.
  std::array<std::ptrdiff_t, 3> strides{};
  std::uint64_t timestamp = 0;  // the camera's, in its unit

  std::size_t size_bytes() const {
    return std::size_t{width} * height * depth * pixel_bytes(type);
  }
};

// Rows of pixels as cameras give them: x fastest, then y. `row_bytes`: from a row to the next, 0 =
// without padding.
FrameView camera_frame(const void* first, PixelType type, std::uint32_t width,
                       std::uint32_t height, std::size_t row_bytes = 0);

// The order in which a frame is stored, 'F' (axis 0 fastest) or 'C' (the last axis fastest): the one
// that it has, so that whole rows are copied. Dense both ways: 'F', as PYME writes it.
char storage_order(const FrameView& view);

// The pixels where they lie; nullopt unless they lie densely in that order.
std::optional<std::span<const char>> dense_pixels(const FrameView& view, char order);

// Copies the pixels densely, in that order. Precondition: out.size() == view.size_bytes().
void copy_pixels(const FrameView& view, char order, std::span<std::uint8_t> out);

}  // namespace skein
