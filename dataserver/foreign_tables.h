// Reads HDF5 files whose bytes this server did not write: put, mirrored, or made through the lane.
// libhdf5 was not made to parse what an enemy wrote, so it does that in a process of its own per
// request (table_reader.h), with bounds on time, memory and output: what crashes or hangs there is one
// refused request (415), and the tables that grow are not held up.
//
// The process is this program again, started with another name (posix_spawn(3): a forked copy of a
// server with threads could not use much). It gets the file as standard input, and writes what the
// reply says into a file without a name. Rejected: looking a file through once and trusting it then;
// what overwrote memory there without a crash would do so here.
// Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

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

  // `store` is borrowed; `done` is called after each job, from a thread of this object.
  ForeignTables(FileStore& store, std::function<void()> done);
  // Ends the processes that run; their jobs, and those that wait, are never done.
  ~ForeignTables();

  // Precondition: its kind is kForeign. False: too many wait already.
  bool submit(std::shared_ptr<TableJob> job);

 private:
  void work(std::stop_token stop);
  Result<FilePart> read(const TableJob& job, const std::stop_token& stop);

  FileStore& store_;
  const std::function<void()> done_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable_any queue_changed_;
  std::deque<std::shared_ptr<TableJob>> queue_;

  std::vector<std::jthread> threads_;
};

}  // namespace skein
