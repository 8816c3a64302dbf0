#include "fuse/awake_processors.h"

#include <fcntl.h>
#include <unistd.h>

namespace skein {

AwakeProcessors::AwakeProcessors(std::string device)
    : device_(std::move(device)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

AwakeProcessors::~AwakeProcessors() {
  thread_.request_stop();
  thread_.join();
}

// After each kBusyRequests: did they come within a turn?
void AwakeProcessors::look() {
  if (held_ || refused_) return;
  const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  const std::chrono::nanoseconds before(looked_ns_.exchange(now.count()));
  if (now - before > kTurn) return;
  const std::lock_guard lock(mutex_);
  wanted_ = true;
  changed_.notify_one();
}

bool AwakeProcessors::hold() {
  device_fd_.reset(::open(device_.c_str(), O_WRONLY | O_CLOEXEC));
  const std::int32_t latency_us = 0;
  const bool done =
      device_fd_ && ::write(device_fd_.get(), &latency_us, sizeof latency_us) == sizeof latency_us;
  if (!done) device_fd_.reset();
  return done;
}

void AwakeProcessors::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    changed_.wait(lock, stop, [&] { return wanted_; });
    if (!wanted_) return;
    wanted_ = false;
    held_ = hold();
    if (!held_) {
      refused_ = true;
      return;
    }
    for (std::uint64_t before = 0, now = asked_; now - before >= kBusyRequests && !stop.stop_requested();
         now = asked_) {
      before = now;
      changed_.wait_for(lock, stop, kTurn, [] { return false; });
    }
    device_fd_.reset();
    held_ = false;
  }
}

}  // namespace skein
