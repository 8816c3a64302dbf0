// An sCMOS camera that looks at a dim, uneven sample: offset 100, Poisson noise of 20 to 200 photons,
// uint16. Frames of one seed are the same in every run; each is a window of rows into one noise
// image twice as high, so that making a frame costs nothing while it is timed.
#pragma once

#include <vector>

#include "tools/frame_source.h"

namespace skein {

class SimulatedCamera : public FrameSource {
 public:
  SimulatedCamera(std::uint32_t width, std::uint32_t height, std::uint64_t seed);

  FrameView shape() const override;
  std::optional<std::uint64_t> count() const override { return std::nullopt; }
  Result<Frame> frame(std::uint64_t index) override;

 private:
  const std::uint32_t width_;
  const std::uint32_t height_;
  std::vector<std::uint16_t> noise_;  // [2 * height_][width_]
};

}  // namespace skein
