#include "tools/simulated_camera.h"

#include <cmath>
#include <random>

namespace skein {
namespace {

constexpr int kOffset = 100;
// Photons differ from block to block; a distribution is costly to set up, so not from pixel to pixel.
constexpr std::uint32_t kBlockPixels = 64;
// Coprime to every height that is no multiple of it: as many different windows as rows.
constexpr std::uint64_t kStepRows = 7919;

}  // namespace

SimulatedCamera::SimulatedCamera(std::uint32_t width, std::uint32_t height, std::uint64_t seed)
    : width_(width), height_(height), noise_(std::size_t{2} * width * height) {
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < noise_.size(); at += kBlockPixels) {
    const double x = static_cast<double>(at % width) / width;
    std::poisson_distribution<int> photons(20 + 180 * std::exp(-8 * (x - 0.5) * (x - 0.5)));
    const std::size_t end = std::min<std::size_t>(at + kBlockPixels, noise_.size());
    for (std::size_t i = at; i < end; ++i) {
      noise_[i] = static_cast<std::uint16_t>(kOffset + photons(random));
    }
  }
}

FrameView SimulatedCamera::shape() const {
  return camera_frame(nullptr, PixelType::kUint16, width_, height_);
}

Result<FrameSource::Frame> SimulatedCamera::frame(std::uint64_t index) {
  const std::size_t row = index * kStepRows % height_;
  FrameView view = camera_frame(noise_.data() + row * width_, PixelType::kUint16, width_, height_);
  view.timestamp = index;
  return Frame{view, nullptr};
}

}  // namespace skein
