// A thread that does one piece of work at a time beside the thread that owns it. Only its owner calls
// it. They are few, made at the start and lent: a thread that cannot be had must not end a server that
// has begun to serve.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace skein {

class SideThread {
 public:
  // Errors: std::system_error, as std::thread.
  SideThread() : thread_([this](std::stop_token stop) { run(stop); }) {}
  // Ends after the work under way.
  ~SideThread() = default;

  // Precondition: nothing is under way.
  void start(std::function<void()> work);
  // Returns when nothing is under way; what the work has written can be read then.
  void wait();

 private:
  void run(std::stop_token stop);

  std::mutex mutex_;  // guards work_; it is empty when nothing is under way
  std::condition_variable_any changed_;
  std::function<void()> work_;

  std::jthread thread_;
};

// Thread-safe. All are given back before it ends.
class SideThreads {
 public:
  explicit SideThreads(std::size_t count);

  // Null: all are lent.
  SideThread* take();
  // Precondition: nothing is under way.
  void give_back(SideThread* side);

 private:
  std::vector<std::unique_ptr<SideThread>> all_;

  std::mutex mutex_;  // guards free_
  std::vector<SideThread*> free_;
};

}  // namespace skein
