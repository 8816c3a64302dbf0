// Reads HDF5 files whose bytes this server did not write: put, mirrored, or made through the lane.
// libhdf5 was not made to parse what an enemy wrote, so it does that in a process of its own per
// request (table_reader.h), with bounds on time, memory and output: what crashes or hangs there is one
// refused request (415), and the tables that grow are not held up. Nor are requests: one that found no
// free process for kPatience is refused (503).
//
// The process is this program again, started with another name (posix_spawn(3): a forked copy of a
// server with threads could not use much). It gets the file as standard input, and writes what the
// reply says into a file without a name. Rejected: looking a file through once and trusting it then;
// what overwrote memory there without a crash would do so here.
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/fd.h"
#include "dataserver/file_store.h"
#include "dataserver/table_job.h"

namespace skein {

class ForeignTables {
 public:
  // Processes at a time.
  static constexpr std::size_t kThreads = 2;
  static constexpr std::size_t kMostQueued = 256;
  static constexpr std::chrono::seconds kLongest{30};
  static constexpr std::chrono::seconds kPatience{10};

  struct Options {
    std::string program = "/proc/self/exe";         // started with the words of the job
    std::chrono::milliseconds longest = kLongest;    // that a process may take
    std::chrono::milliseconds patience = kPatience;  // that a job waits for one
  };

  // `store` is borrowed; `done` is called after each job, from a thread of this object.
  ForeignTables(FileStore& store, std::function<void()> done, Options options);
  ForeignTables(FileStore& store, std::function<void()> done)
      : ForeignTables(store, std::move(done), Options()) {}
  // Ends the processes that run; their jobs, and those that wait, are never done.
  ~ForeignTables();

  // Precondition: its kind is kForeign. False: too many wait already.
  bool submit(std::shared_ptr<TableJob> job);

 private:
  struct Waiting {
    std::shared_ptr<TableJob> job;
    TimePoint until;
  };

  void work(std::stop_token stop);
  void refuse_late(std::stop_token stop);
  Result<FilePart> read(const TableJob& job, const std::stop_token& stop);

  FileStore& store_;
  const std::function<void()> done_;
  const Options options_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable_any queue_changed_;
  std::deque<Waiting> queue_;

  std::vector<std::jthread> threads_;
};

}  // namespace skein
