// Takes things that come one by one and hands them on some at a time, in a thread of its own: where
// one step for many costs hardly more than one for each. Thread-safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/clock.h"

namespace skein {

template <typename Thing>
class Gathered {
 public:
  // How long the first of a batch waits for more, and the most that wait: add() waits beyond it.
  static constexpr std::chrono::milliseconds kGatherTime{5};
  static constexpr std::size_t kMost = 512;

  // Called with at least one thing, never twice at a time; in the order of add().
  using Take = std::function<void(std::vector<Thing>)>;
  explicit Gathered(Take take)
      : take_(std::move(take)), thread_([this](const std::stop_token& stop) { run(stop); }) {}
  // Hands on what is left.
  ~Gathered() { finish(); }

  void add(Thing thing) {
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [&] { return things_.size() < kMost; });
    things_.push_back(std::move(thing));
    if (things_.size() == 1 || things_.size() == kMost) changed_.notify_one();
  }

  // While one of these lives, somebody waits: nothing is held back for more.
  class Hurry {
   public:
    explicit Hurry(Gathered& gathered) : gathered_(gathered) { gathered_.hurry(1); }
    ~Hurry() { gathered_.hurry(-1); }
    Hurry(const Hurry&) = delete;
    Hurry& operator=(const Hurry&) = delete;

   private:
    Gathered& gathered_;
  };

  // Hands on what is there and ends the thread; nothing may be added afterwards.
  void finish() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void hurry(int more) {
    const std::lock_guard lock(mutex_);
    in_a_hurry_ += more;
    if (in_a_hurry_ > 0) changed_.notify_one();
  }

  void run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, stop, [&] { return !things_.empty(); });
      if (things_.empty()) return;
      changed_.wait_for(lock, stop, kGatherTime,
                        [&] { return in_a_hurry_ > 0 || things_.size() >= kMost; });
      std::vector<Thing> batch = std::exchange(things_, {});
      has_room_.notify_all();
      lock.unlock();
      take_(std::move(batch));
      lock.lock();
    }
  }

  const Take take_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable_any changed_;
  std::condition_variable has_room_;
  std::vector<Thing> things_;
  int in_a_hurry_ = 0;

  std::jthread thread_;
};

}  // namespace skein
