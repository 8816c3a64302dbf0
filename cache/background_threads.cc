#include "cache/background_threads.h"

#include <atomic>
#include <system_error>

namespace skein {

struct BackgroundThreads::Running {
  std::atomic<bool> ended = false;
  std::jthread thread;  // last: is joined before the flag goes
};

BackgroundThreads::BackgroundThreads(std::size_t most) : most_(most) {}

BackgroundThreads::~BackgroundThreads() {
  const std::lock_guard lock(mutex_);
  for (const auto& running : running_) running->thread.request_stop();
  running_.clear();
}

bool BackgroundThreads::start(Work work) {
  const std::lock_guard lock(mutex_);
  std::erase_if(running_, [](const auto& running) { return running->ended.load(); });
  if (running_.size() >= most_) return false;
  auto running = std::make_unique<Running>();
  std::atomic<bool>& ended = running->ended;
  try {
    running->thread = std::jthread([work = std::move(work), &ended](const std::stop_token& stop) {
      work(stop);
      ended = true;
    });
  } catch (const std::system_error&) {
    return false;  // a limit on threads
  }
  running_.push_back(std::move(running));
  return true;
}

}  // namespace skein
