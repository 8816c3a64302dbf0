// The HDF5 files of this node that grow or are looked into, and the one thread that touches them:
// libhdf5 is not thread-safe. Requests hand in jobs (table_job.h) and hold no thread meanwhile.
//
// All changes of one file that wait are made together and committed once; each is acknowledged after
// that commit. A change that cannot be made fails alone. What is committed survives the end of the
// process; with FileStore::Options::sync also a power cut.
//
// Files grow as long as their mode lets them be written (kGrowingMode, or by hand); 0440 ends
// that. Only files that grow, or grew, here are opened: what others made is read by another process.
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/fd.h"
#include "dataserver/file_store.h"
#include "dataserver/foreign_tables.h"
#include "dataserver/table_job.h"

namespace skein {

class TableEngine {
 public:
  // Files held open, each with up to a chunk of 128 KiB per table in memory.
  static constexpr std::size_t kMostOpen = 64;
  static constexpr std::chrono::seconds kIdleTime{20};
  // One commit takes as many bodies as fit, or one that is larger: what a commit holds in memory
  // is about three times as much.
  static constexpr std::uint64_t kBatchBytes = 16ull << 20;
  static constexpr std::size_t kMostQueued = 10'000;
  // A file that changed so recently is copied for a plain GET.
  static constexpr std::chrono::seconds kSettled{60};

  // Makes good what a crash left behind. `store` is borrowed. Errors: as open(2) of the journals'
  // folder. Null in a server built without libhdf5.
  static Result<std::unique_ptr<TableEngine>> open(FileStore& store);
  // Finishes what is queued, and closes the files in order.
  ~TableEngine();

  // Called whenever jobs were done, from the engine's thread, without locks held. An empty one is
  // not called any more when this returns.
  void on_done(std::function<void()> callback);

  // False: too many wait already.
  bool submit(std::shared_ptr<TableJob> job);

  std::size_t queued() const;

 private:
  using JobPtr = std::shared_ptr<TableJob>;
  using Jobs = std::vector<JobPtr>;
  struct Open;

  TableEngine(FileStore& store, Fd journals);
  void recover();
  void recover_one(const std::string& path);
  void work(std::stop_token stop);
  Jobs take_batch();
  void do_batch(const Jobs& batch);
  void make_changes(const ClusterPath& path, const Jobs& jobs);
  // False: nothing was made, and each job may be tried alone.
  bool attempt(const ClusterPath& path, std::span<const JobPtr> jobs);
  Result<void> commit_new(const ClusterPath& path, Open& open);
  // Errors: invalid_argument (the id stood for an append to another file), as TableFile::has_made().
  Result<bool> was_made(const TableJob& job, TableFile& file) const;
  void remember(const Jobs& jobs);
  void do_other(const JobPtr& job);
  void tell();
  Result<FileStore::OpenFile> snapshot(const ClusterPath& path);
  Result<void> seal(const ClusterPath& path);

  enum class Missing { kFail, kMake };
  Result<Open*> opened(const ClusterPath& path, Missing missing);
  Result<std::unique_ptr<Open>> open_file(const ClusterPath& path, const Found& found);
  Result<std::unique_ptr<Open>> make_file(const ClusterPath& path);
  void close(const std::string& key);
  void close_unused();

  FileStore& store_;
  const Fd journals_;

  // Of the engine's thread alone.
  std::map<std::string, std::unique_ptr<Open>> open_;
  std::map<RequestId, ClusterPath> requests_;  // carried out since the start, of all files
  std::deque<RequestId> requests_in_order_;

  std::mutex callback_mutex_;  // guards callback_, and is held while it runs
  std::function<void()> callback_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable_any queue_changed_;
  std::deque<JobPtr> queue_;

  std::jthread thread_;
  ForeignTables foreign_;
};

}  // namespace skein
