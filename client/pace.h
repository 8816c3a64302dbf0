// How long a peer may take: `timeout` for the first byte and for each further 64 KiB. A transfer of
// any size may go on while it keeps that pace; a peer that trickles bytes to hold its caller is
// given up like one that stopped. One thread at a time.
#pragma once

#include <chrono>
#include <cstddef>

#include "core/clock.h"

namespace skein {

class Pace {
 public:
  static constexpr std::size_t kStepBytes = 64 * 1024;

  explicit Pace(std::chrono::milliseconds timeout)
      : timeout_(timeout), deadline_(Deadline::after(timeout)) {}

  Deadline deadline() const { return deadline_; }

  // Something was achieved that is not counted in bytes: connected, asked, answered.
  void restart() {
    in_step_ = 0;
    deadline_ = Deadline::after(timeout_);
  }
  void moved(std::size_t bytes) {
    in_step_ += bytes;
    if (in_step_ >= kStepBytes) restart();
  }

 private:
  const std::chrono::milliseconds timeout_;
  std::size_t in_step_ = 0;
  Deadline deadline_;
};

}  // namespace skein
