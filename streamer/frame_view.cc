#include "streamer/frame_view.h"

#include <cassert>
#include <cstdlib>
#include <cstring>

namespace skein {
namespace {

struct Axis {
  std::size_t length = 0;
  std::ptrdiff_t stride = 0;
};

// Axes from the fastest to the slowest of `order`.
std::array<Axis, 3> axes_of(const FrameView& view, char order) {
  const std::array<Axis, 3> axes{Axis{view.width, view.strides[0]},
                                 Axis{view.height, view.strides[1]},
                                 Axis{view.depth, view.strides[2]}};
  if (order == 'F') return axes;
  return {axes[2], axes[1], axes[0]};
}

bool is_dense(const std::array<Axis, 3>& axes, std::size_t pixel) {
  auto expected = static_cast<std::ptrdiff_t>(pixel);
  for (const Axis& axis : axes) {
    if (axis.length > 1 && axis.stride != expected) return false;
    expected *= static_cast<std::ptrdiff_t>(axis.length);
  }
  return true;
}

template <std::size_t kPixel>
std::uint8_t* copy_row(const std::uint8_t* from, const Axis& axis, std::uint8_t* out) {
  for (std::size_t i = 0; i < axis.length; ++i, out += kPixel, from += axis.stride) {
    std::memcpy(out, from, kPixel);
  }
  return out;
}

std::uint8_t* copy_row(const std::uint8_t* from, const Axis& axis, std::size_t pixel,
                       std::uint8_t* out) {
  if (axis.stride == static_cast<std::ptrdiff_t>(pixel) || axis.length == 1) {
    std::memcpy(out, from, axis.length * pixel);
    return out + axis.length * pixel;
  }
  switch (pixel) {
    case 1: return copy_row<1>(from, axis, out);
    case 2: return copy_row<2>(from, axis, out);
    default: return copy_row<4>(from, axis, out);
  }
}

}  // namespace

FrameView camera_frame(const void* first, PixelType type, std::uint32_t width,
                       std::uint32_t height, std::size_t row_bytes) {
  const std::size_t pixel = pixel_bytes(type);
  const auto row = static_cast<std::ptrdiff_t>(row_bytes == 0 ? width * pixel : row_bytes);
  FrameView view;
  view.first = first;
  view.type = type;
  view.width = width;
  view.height = height;
  view.strides = {static_cast<std::ptrdiff_t>(pixel), row,
                  row * static_cast<std::ptrdiff_t>(height)};
  return view;
}

char storage_order(const FrameView& view) {
  const std::size_t pixel = pixel_bytes(view.type);
  if (is_dense(axes_of(view, 'F'), pixel)) return 'F';
  if (is_dense(axes_of(view, 'C'), pixel)) return 'C';
  const auto last = axes_of(view, 'C')[view.depth > 1 ? 0 : 1];
  return std::abs(view.strides[0]) <= std::abs(last.stride) ? 'F' : 'C';
}

std::optional<std::span<const char>> dense_pixels(const FrameView& view, char order) {
  if (!is_dense(axes_of(view, order), pixel_bytes(view.type))) return std::nullopt;
  return std::span(static_cast<const char*>(view.first), view.size_bytes());
}

void copy_pixels(const FrameView& view, char order, std::span<std::uint8_t> out) {
  assert(out.size() == view.size_bytes());
  if (out.empty()) return;
  const std::size_t pixel = pixel_bytes(view.type);
  const auto axes = axes_of(view, order);
  const auto* first = static_cast<const std::uint8_t*>(view.first);
  if (const auto dense = dense_pixels(view, order)) {
    std::memcpy(out.data(), dense->data(), out.size());
    return;
  }
  std::uint8_t* to = out.data();
  for (std::size_t slow = 0; slow < axes[2].length; ++slow) {
    for (std::size_t middle = 0; middle < axes[1].length; ++middle) {
      const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(slow) * axes[2].stride +
                                    static_cast<std::ptrdiff_t>(middle) * axes[1].stride;
      to = copy_row(first + offset, axes[0], pixel, to);
    }
  }
}

}  // namespace skein
