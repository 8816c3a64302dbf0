#include "dataserver/side_thread.h"

#include <cassert>
#include <utility>

namespace skein {

void SideThread::start(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    assert(!work_);
    work_ = std::move(work);
  }
  changed_.notify_all();
}

void SideThread::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !work_; });
}

void SideThread::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return work_ != nullptr; })) {
    lock.unlock();
    work_();
    lock.lock();
    work_ = nullptr;
    changed_.notify_all();
  }
}

SideThreads::SideThreads(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    all_.push_back(std::make_unique<SideThread>());
    free_.push_back(all_.back().get());
  }
}

SideThread* SideThreads::take() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return nullptr;
  SideThread* const side = free_.back();
  free_.pop_back();
  return side;
}

void SideThreads::give_back(SideThread* side) {
  const std::lock_guard lock(mutex_);
  free_.push_back(side);
}

}  // namespace skein
