// Stages that clients name over HTTP (docs/wire.md, "Stages"): whole bodies kept invisibly until
// they are published or dropped. They survive a restart of the server, and go kLifetime after they
// were last written. Thread-safe: what is done to one stage is done one after the other.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

#include "core/error.h"
#include "core/path.h"
#include "dataserver/file_store.h"

namespace skein {

class StageShelf {
 public:
  static constexpr std::chrono::hours kLifetime{24};

  // `store` is borrowed. Stages that were published when the server died are dropped now.
  explicit StageShelf(FileStore& store);

  // Errors of the three beside those named: timed_out (the stage is busy and stays so).

  // Keeps `stage` under `id`, in place of an earlier one. Precondition: is_uuid(id). Errors: as
  // link(2), rename(2).
  Result<void> keep(const std::string& id, StagedFile& stage);

  // Errors: no_such_file_or_directory (no such stage), file_exists (the stage is kept), others as
  // FileStore::publish().
  Result<void> publish(const std::string& id, const ClusterPath& path);

  // Errors: no_such_file_or_directory.
  Result<void> drop(const std::string& id);

  void drop_expired();

 private:
  class Turn;

  FileStore& store_;

  std::mutex mutex_;  // guards everything below; not held while a stage is worked on
  std::condition_variable freed_;
  std::set<std::string> busy_;  // ids being worked on
};

}  // namespace skein
