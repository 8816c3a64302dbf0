#include "dataserver/sync_gate.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <spdlog/spdlog.h>

namespace skein {
namespace {

// So much of a flush's time is spent at most on waiting for more to flush.
constexpr int kGatherPart = 3;
constexpr std::chrono::milliseconds kMostGathering{20};

}  // namespace

SyncGate::SyncGate(Flush flush)
    : flush_(std::move(flush)), thread_([this](std::stop_token stop) { work(stop); }) {}

SyncGate::Flush SyncGate::filesystem_of(int fd) {
  return [fd] { return ::syncfs(fd) == 0 ? 0 : errno; };
}

SyncGate::~SyncGate() {
  thread_.request_stop();
  thread_.join();
}

SyncGate::Ticket SyncGate::ticket() {
  const std::lock_guard lock(mutex_);
  // The flush under way, if any, may have passed our bytes already.
  wanted_ = begun_ + 1;
  ++taken_;
  // The first begins the gathering and the last expected one ends it.
  if (taken_ == 1 || taken_ >= expected_) wanted_changed_.notify_one();
  return wanted_;
}

Result<void> SyncGate::wait(Ticket ticket, Deadline deadline) {
  std::unique_lock lock(mutex_);
  const bool ended = released_changed_.wait_until(
      lock, deadline.when(), [&] { return failed_ || released_ >= ticket; });
  if (failed_) return Error{std::errc::io_error, "the disk did not take what was written"};
  if (!ended) return Error{std::errc::timed_out, "the disk takes too long to flush"};
  return {};
}

void SyncGate::on_release(std::function<void()> callback) {
  const std::lock_guard lock(callback_mutex_);
  callback_ = std::move(callback);
}

void SyncGate::work(std::stop_token stop) {
  for (;;) {
    std::unique_lock lock(mutex_);
    if (!wanted_changed_.wait(lock, stop, [this] { return wanted_ > begun_; })) return;
    const auto latest = std::chrono::steady_clock::now() +
                        std::min<std::chrono::nanoseconds>(last_took_ / kGatherPart, kMostGathering);
    wanted_changed_.wait_until(lock, stop, latest, [this] { return taken_ >= expected_; });
    const Ticket flushed = ++begun_;
    expected_ = std::exchange(taken_, 0);
    lock.unlock();
    const auto began = std::chrono::steady_clock::now();
    const int failure = failed_ ? EIO : flush_();
    lock.lock();
    last_took_ = std::chrono::steady_clock::now() - began;
    if (failure != 0 && !failed_) {
      spdlog::error("flush failed, nothing is acknowledged any more: why={}",
                    errno_error(failure, "syncfs").what);
      failed_ = true;
    }
    if (!failed_) released_ = flushed;
    released_changed_.notify_all();
    lock.unlock();
    const std::lock_guard callback_lock(callback_mutex_);
    if (callback_) callback_();
  }
}

}  // namespace skein
