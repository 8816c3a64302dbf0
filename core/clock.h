// Time as a parameter: logic that waits or expires takes a Clock, so that tests crank it.
// Deadlines of real I/O use the real steady clock, because poll() does.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace skein {

using TimePoint = std::chrono::steady_clock::time_point;
using Clock = std::function<TimePoint()>;

Clock real_clock();

// A clock for tests; stands still until advanced. Not thread-safe.
class ManualClock {
 public:
  Clock clock() const {
    return [now = now_] { return *now; };
  }
  void advance(std::chrono::steady_clock::duration by) { *now_ += by; }

 private:
  std::shared_ptr<TimePoint> now_ = std::make_shared<TimePoint>(std::chrono::hours(1000));
};

// The moment at which an operation gives up. Every wait in Skein has one.
class Deadline {
 public:
  static Deadline after(std::chrono::milliseconds wait) {
    return Deadline(std::chrono::steady_clock::now() + wait);
  }
  static Deadline at(TimePoint when) { return Deadline(when); }

  bool passed() const { return std::chrono::steady_clock::now() >= when_; }
  TimePoint when() const { return when_; }
  // Time left for poll(2), rounded up, 0 when passed.
  int poll_ms() const;
  Deadline earlier(Deadline other) const { return when_ < other.when_ ? *this : other; }

 private:
  explicit Deadline(TimePoint when) : when_(when) {}
  TimePoint when_;
};

}  // namespace skein
