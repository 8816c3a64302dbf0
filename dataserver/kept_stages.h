// Stages of the lane whose client died after it was told that a close of the file succeeded: bytes
// that somebody believes stored. They are kept, with the path that they were meant for, until
// somebody publishes or drops them (docs/wire.md, "Lane"); they do not expire.
//
// Two files in ROOT/.skein/kept/: <uuid> with the bytes, <uuid>.path with the path. The path is
// written first and removed last, so that bytes without a path cannot be. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"
#include "dataserver/file_store.h"

namespace skein {

class KeptStages {
 public:
  // `store` is borrowed.
  explicit KeptStages(FileStore& store);

  // The new id. Errors: no_space_on_device, others as link(2).
  Result<std::string> keep(StagedFile& stage, const ClusterPath& path);

  struct Kept {
    std::string id;
    ClusterPath path;
    std::uint64_t size_bytes = 0;
    Fd fd;  // read-only
  };
  // The first one whose id is greater than `after`; "" for the very first. Errors:
  // no_such_file_or_directory (no more).
  Result<Kept> next(const std::string& after);

  // Makes it visible at `path`, as seal() does, and forgets it. Errors: no_such_file_or_directory
  // (no such id), as seal(); then it is still kept.
  Result<void> publish(const std::string& id, const ClusterPath& path);

  // Errors: no_such_file_or_directory.
  Result<void> drop(const std::string& id);

  std::size_t count();

 private:
  Result<std::vector<std::string>> ids() const;  // sorted
  void forget(const std::string& id) const;

  FileStore& store_;
  std::mutex mutex_;  // held while something is published or dropped: it happens by hand
};

}  // namespace skein
