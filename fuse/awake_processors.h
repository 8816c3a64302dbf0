// Keeps the processors of this host from falling asleep between two requests of a program that sends
// one after the other. Each request is two wake-ups of a waiting thread, and a processor that has
// gone to sleep takes longer to wake than the request takes: on a virtual machine creating small
// files went from 2,800 to 4,300 a second, on bare metal deep sleep costs up to 100 us.
//
// /dev/cpu_dma_latency is the kernel's interface for it (Documentation/power/pm_qos_interface): while
// a process holds it open, idle processors poll. Needs root; without it nothing is done. Held only
// while at least kBusyRequests come within kTurn, and for one kTurn more.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "core/fd.h"

namespace skein {

class AwakeProcessors {
 public:
  static constexpr std::uint64_t kBusyRequests = 64;
  static constexpr std::chrono::milliseconds kTurn{30};

  explicit AwakeProcessors(std::string device = "/dev/cpu_dma_latency");
  ~AwakeProcessors();

  // One more request came. Costs a counter, nearly always. Thread-safe.
  void asked() {
    if (asked_.fetch_add(1, std::memory_order_relaxed) % kBusyRequests == 0) look();
  }
  bool held() const { return held_; }

 private:
  void look();
  bool hold();
  void run(const std::stop_token& stop);

  const std::string device_;
  std::atomic<std::uint64_t> asked_{1};
  std::atomic<std::int64_t> looked_ns_{0};  // steady clock
  std::atomic<bool> held_{false};
  std::atomic<bool> refused_{false};

  std::mutex mutex_;  // guards wanted_
  std::condition_variable_any changed_;
  bool wanted_ = false;
  Fd device_fd_;  // of the thread

  std::jthread thread_;
};

}  // namespace skein
