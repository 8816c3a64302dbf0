#include "streamer/sqrt_quantization.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

namespace skein {
namespace {

// Whole blocks, so that the compiler turns the loop into vector code.
constexpr std::size_t kBlock = 256;

void quantize_block(const std::uint16_t (&values)[kBlock], SqrtQuantization by,
                    std::uint8_t (&out)[kBlock]) {
  const float inverse = 1.0F / by.scale;
  std::int32_t rounded[kBlock];
  for (std::size_t i = 0; i < kBlock; ++i) {
    const float above = static_cast<float>(values[i]) - by.offset;
    const float root = std::sqrt(above > 0.0F ? above : 0.0F) * inverse + 0.5F;
    rounded[i] = static_cast<std::int32_t>(root < 255.0F ? root : 255.0F);
  }
  for (std::size_t i = 0; i < kBlock; ++i) out[i] = static_cast<std::uint8_t>(rounded[i]);
}

}  // namespace

void quantize(std::span<const std::uint8_t> pixels, SqrtQuantization by,
              std::span<std::uint8_t> out) {
  assert(pixels.size() == 2 * out.size());
  for (std::size_t at = 0; at < out.size(); at += kBlock) {
    const std::size_t count = std::min(kBlock, out.size() - at);
    std::uint16_t values[kBlock] = {};
    std::uint8_t quantized[kBlock];
    std::memcpy(values, pixels.data() + 2 * at, 2 * count);
    quantize_block(values, by, quantized);
    std::memcpy(out.data() + at, quantized, count);
  }
}

float restored(std::uint8_t quantized, SqrtQuantization by) {
  const float root = static_cast<float>(quantized) * by.scale;
  return std::floor(root * root + by.offset);
}

}  // namespace skein
