#include "dataserver/side_thread.h"

#include <cassert>
#include <utility>

namespace skein {

SideThread::~SideThread() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void SideThread::start(std::function<void()> work) {
  if (!thread_.joinable()) thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
  {
    const std::lock_guard lock(mutex_);
    assert(!work_);
    work_ = std::move(work);
  }
  changed_.notify_all();
}

void SideThread::wait() {
  std::unique_lock lock(mutex_);
  if (!begun_ && work_) {
    const auto work = std::exchange(work_, nullptr);
    lock.unlock();
    work();
    return;
  }
  changed_.wait(lock, [this] { return !work_; });
}

void SideThread::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return work_ != nullptr; })) {
    begun_ = true;
    lock.unlock();
    work_();
    lock.lock();
    begun_ = false;
    work_ = nullptr;
    changed_.notify_all();
  }
}

}  // namespace skein
