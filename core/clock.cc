#include "core/clock.h"

#include <algorithm>
#include <limits>

namespace skein {

Clock real_clock() {
  return [] { return std::chrono::steady_clock::now(); };
}

int Deadline::poll_ms() const {
  if (passed()) return 0;  // also keeps the subtraction from overflowing for TimePoint::min()
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(when_ - std::chrono::steady_clock::now());
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, kMost));
}

}  // namespace skein
