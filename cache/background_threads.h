// A bounded number of threads for work that outlives the call that began it. Destruction asks all of
// them to stop and waits for them. Thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

namespace skein {

class BackgroundThreads {
 public:
  explicit BackgroundThreads(std::size_t most);
  ~BackgroundThreads();

  // False: no thread is to be had, and `work` is not called.
  using Work = std::function<void(const std::stop_token& stop)>;
  bool start(Work work);

 private:
  struct Running;

  const std::size_t most_;
  std::mutex mutex_;  // guards what follows
  std::list<std::unique_ptr<Running>> running_;  // some have ended
};

}  // namespace skein
