#include "streamer/byte_shuffle.h"

#include <cassert>
#include <cstring>

namespace skein {
namespace {

// The width is a constant in each, or the loops are not turned into vector code.
template <std::size_t kWidth>
void split(const std::uint8_t* __restrict pixels, std::size_t count,
           std::uint8_t* __restrict planes) {
  for (std::size_t plane = 0; plane < kWidth; ++plane) {
    std::uint8_t* __restrict out = planes + plane * count;
    for (std::size_t i = 0; i < count; ++i) out[i] = pixels[kWidth * i + plane];
  }
}

void split_pairs(const std::uint8_t* __restrict pixels, std::size_t count,
                 std::uint8_t* __restrict planes) {
  std::uint8_t* __restrict low = planes;
  std::uint8_t* __restrict high = planes + count;
  for (std::size_t i = 0; i < count; ++i) {
    low[i] = pixels[2 * i];
    high[i] = pixels[2 * i + 1];
  }
}

template <std::size_t kWidth>
void join(const std::uint8_t* __restrict planes, std::size_t count,
          std::uint8_t* __restrict pixels) {
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t plane = 0; plane < kWidth; ++plane) {
      pixels[kWidth * i + plane] = planes[plane * count + i];
    }
  }
}

}  // namespace

void shuffle_bytes(std::span<const std::uint8_t> pixels, std::size_t width,
                   std::span<std::uint8_t> out) {
  assert(pixels.size() == out.size() && pixels.size() % width == 0);
  if (pixels.empty()) return;
  const std::size_t count = pixels.size() / width;
  switch (width) {
    case 1: std::memcpy(out.data(), pixels.data(), count); return;
    case 2: return split_pairs(pixels.data(), count, out.data());
    case 4: return split<4>(pixels.data(), count, out.data());
    default: assert(!"a pixel has 1, 2 or 4 bytes");
  }
}

void unshuffle_bytes(std::span<const std::uint8_t> planes, std::size_t width,
                     std::span<std::uint8_t> out) {
  assert(planes.size() == out.size() && planes.size() % width == 0);
  if (planes.empty()) return;
  const std::size_t count = planes.size() / width;
  switch (width) {
    case 1: std::memcpy(out.data(), planes.data(), count); return;
    case 2: return join<2>(planes.data(), count, out.data());
    case 4: return join<4>(planes.data(), count, out.data());
    default: assert(!"a pixel has 1, 2 or 4 bytes");
  }
}

}  // namespace skein
