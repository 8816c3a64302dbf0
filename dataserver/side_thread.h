// A thread that does one piece of work at a time beside the thread that owns it. Begun at its first
// use. Only its owner calls it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace skein {

class SideThread {
 public:
  SideThread() = default;
  // Ends after the work under way.
  ~SideThread();

  // Precondition: nothing is under way.
  void start(std::function<void()> work);
  // Returns when nothing is under way; what the work has written can be read then. Work that has
  // not begun, because every processor had something else to do, is done by the caller.
  void wait();

 private:
  void run(std::stop_token stop);

  std::mutex mutex_;  // guards everything below
  std::condition_variable_any changed_;
  std::function<void()> work_;  // empty when nothing is under way
  bool begun_ = false;

  std::jthread thread_;  // not guarded
};

}  // namespace skein
