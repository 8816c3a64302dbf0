// Camera counts as one byte each: q = round(sqrt(v - offset) / scale). Photon noise grows as the
// square root, so a step of `scale` loses less than the noise where it suits the camera. Restored as
// floor((q * scale)^2 + offset). Rule and rounding: docs/wire.md, "PZF frame". Pure functions.
#pragma once

#include <cstdint>
#include <span>

namespace skein {

struct SqrtQuantization {
  float offset = 0;  // >= 0
  float scale = 1;   // 0.001 to 100
};

// `pixels`: uint16 as bytes. Precondition: pixels.size() == 2 * out.size().
void quantize(std::span<const std::uint8_t> pixels, SqrtQuantization by,
              std::span<std::uint8_t> out);

// The pixel value that a byte stands for, before it is cast to the pixel's type.
float restored(std::uint8_t quantized, SqrtQuantization by);

}  // namespace skein
