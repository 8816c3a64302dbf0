// Latencies of any number of files in memory that does not grow: 32 steps per power of two, so a
// percentile is right within 3 %. One thread at a time.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>

namespace skein {

class LatencyHistogram {
 public:
  void add(std::chrono::nanoseconds latency) {
    const auto ns = static_cast<std::uint64_t>(latency.count() < 0 ? 0 : latency.count());
    ++steps_[step_of(ns)];
    ++count_;
    if (ns > most_) most_ = ns;
  }

  // Upper edge of the step that holds that share, 0 to 1, of all; 0 if there are none.
  std::chrono::nanoseconds percentile(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t step = 0; step < steps_.size(); ++step) {
      seen += steps_[step];
      if (seen > wanted || seen == count_) {
        const std::uint64_t edge = edge_of(step);
        return std::chrono::nanoseconds(edge < most_ ? edge : most_);
      }
    }
    return {};
  }
  std::chrono::nanoseconds most() const { return std::chrono::nanoseconds(most_); }
  std::uint64_t count() const { return count_; }

 private:
  static constexpr unsigned kBits = 5;  // 32 steps

  static std::size_t step_of(std::uint64_t ns) {
    if (ns < (1u << kBits)) return ns;
    const auto shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - kBits;
    return (std::size_t{shift} + 1) * (1u << kBits) + ((ns >> shift) & ((1u << kBits) - 1));
  }
  static std::uint64_t edge_of(std::size_t step) {
    if (step < (1u << kBits)) return step;
    const std::size_t shift = step / (1u << kBits) - 1;
    return ((((1ull << kBits) | (step % (1u << kBits))) + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (65 - kBits) << kBits> steps_{};
  std::uint64_t count_ = 0;
  std::uint64_t most_ = 0;  // ns
};

}  // namespace skein
