#include "streamer/frame_view.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <vector>

namespace skein {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Pixel by pixel, from the definition.
Bytes plain_copy(const FrameView& view, char order) {
  const std::size_t pixel = pixel_bytes(view.type);
  Bytes out(view.size_bytes());
  for (std::size_t x = 0; x < view.width; ++x) {
    for (std::size_t y = 0; y < view.height; ++y) {
      for (std::size_t z = 0; z < view.depth; ++z) {
        const std::size_t at = order == 'C' ? (x * view.height + y) * view.depth + z
                                            : (z * view.height + y) * view.width + x;
        const auto* from = static_cast<const std::uint8_t*>(view.first) +
                           static_cast<std::ptrdiff_t>(x) * view.strides[0] +
                           static_cast<std::ptrdiff_t>(y) * view.strides[1] +
                           static_cast<std::ptrdiff_t>(z) * view.strides[2];
        std::memcpy(out.data() + at * pixel, from, pixel);
      }
    }
  }
  return out;
}

TEST_CASE("frame view: any strides give the pixels of the definition, in both orders") {
  std::mt19937 random(1);
  Bytes memory(200000);
  for (auto& byte : memory) byte = static_cast<std::uint8_t>(random());
  for (int round = 0; round < 400; ++round) {
    FrameView view;
    view.type = static_cast<PixelType>(random() % 3);
    view.width = 1 + random() % 9;
    view.height = 1 + random() % 9;
    view.depth = 1 + random() % 3;
    view.first = memory.data() + 100000;
    for (auto& stride : view.strides) {
      stride = static_cast<std::ptrdiff_t>(random() % 4000) - 2000;
    }
    for (const char order : {'C', 'F'}) {
      Bytes out(view.size_bytes());
      copy_pixels(view, order, out);
      REQUIRE(out == plain_copy(view, order));
    }
  }
}

TEST_CASE("frame view: a camera's rows are order F, an array of [x][y] is order C, as PYME writes") {
  Bytes memory(1000);
  FrameView rows = camera_frame(memory.data(), PixelType::kUint16, 7, 5);
  CHECK(storage_order(rows) == 'F');
  rows = camera_frame(memory.data(), PixelType::kUint16, 7, 5, 32);  // padded
  CHECK(storage_order(rows) == 'F');
  FrameView array = rows;
  array.strides = {10, 2, 0};
  CHECK(storage_order(array) == 'C');
  array.strides = {20, 4, 0};  // every second pixel
  CHECK(storage_order(array) == 'C');
  FrameView line = camera_frame(memory.data(), PixelType::kUint16, 1, 5);
  CHECK(storage_order(line) == 'F');  // dense both ways
}

}  // namespace
}  // namespace skein
