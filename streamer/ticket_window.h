// Which files are still on their way: numbers are given out in order and closed in any order. Costs
// one bit for each number between the oldest open one and the newest. Not thread-safe.
#pragma once

#include <cassert>
#include <cstdint>
#include <deque>

namespace skein {

class TicketWindow {
 public:
  std::uint64_t open() {
    closed_.push_back(false);
    ++open_count_;
    return first_ + closed_.size() - 1;
  }
  // Precondition: is_open(ticket).
  void close(std::uint64_t ticket) {
    assert(is_open(ticket));
    closed_[ticket - first_] = true;
    --open_count_;
    while (!closed_.empty() && closed_.front()) {
      closed_.pop_front();
      ++first_;
    }
  }

  bool is_open(std::uint64_t ticket) const {
    return ticket >= first_ && ticket < next() && !closed_[ticket - first_];
  }
  std::uint64_t oldest_open() const { return first_; }  // next() if none is
  std::uint64_t next() const { return first_ + closed_.size(); }
  std::uint64_t open_count() const { return open_count_; }

 private:
  std::uint64_t first_ = 0;
  std::deque<bool> closed_;  // from first_
  std::uint64_t open_count_ = 0;
};

}  // namespace skein
