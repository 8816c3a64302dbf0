// Bytes per second over the last two seconds. Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

#include "core/clock.h"

namespace skein {

class RateMeter {
 public:
  static constexpr std::chrono::milliseconds kSlot{200};
  static constexpr std::int64_t kSlots = 10;

  void add(std::uint64_t bytes, TimePoint now) {
    const std::int64_t slot = slot_of(now);
    Slot& at = slots_[static_cast<std::size_t>(slot % kSlots)];
    if (at.number != slot) at = {slot, 0};
    at.bytes += bytes;
    if (first_ == 0) first_ = slot;
  }

  // Of whole slots; before the first is whole, 0.
  double per_second(TimePoint now) const {
    const std::int64_t current = slot_of(now);
    const std::int64_t whole = std::min(kSlots - 1, current - first_);
    if (first_ == 0 || whole <= 0) return 0;
    std::uint64_t bytes = 0;
    for (const Slot& slot : slots_) {
      if (slot.number < current && slot.number >= current - whole) bytes += slot.bytes;
    }
    return static_cast<double>(bytes) /
           (static_cast<double>(whole) * std::chrono::duration<double>(kSlot).count());
  }

 private:
  struct Slot {
    std::int64_t number = 0;
    std::uint64_t bytes = 0;
  };
  static std::int64_t slot_of(TimePoint when) { return when.time_since_epoch() / kSlot; }

  std::array<Slot, kSlots> slots_;
  std::int64_t first_ = 0;  // the slot of the first bytes; 0 = none yet
};

}  // namespace skein
