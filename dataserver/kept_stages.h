// Stages of the lane whose client died after it was told that a close of the file succeeded: bytes
// that somebody believes stored. They are kept, with the path that they were meant for, until
// somebody publishes or drops them (docs/wire.md, "Lane"); they do not expire.
//
// Two files in ROOT/.skein/kept/: <uuid> with the bytes, <uuid>.path with the path. The path is
// written first and removed last, so that bytes without a path cannot be. What was flushed bears a
// mark (file_mark.h). One that a power cut found without (lost_writes.h) may have lost bytes, of which
// nothing tells: it is kept, for its owner to look at, and not published. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
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

  // The new id; outlives the end of the server, and after flush() a power cut. Errors:
  // no_space_on_device, others as link(2).
  Result<std::string> keep(StagedFile& stage, const ClusterPath& path);
  // Errors: as fsync(2).
  Result<void> flush(const std::string& id);

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
  // (no such id), io_error (it may have lost bytes in a power cut), as seal(); then it is still kept.
  Result<void> publish(const std::string& id, const ClusterPath& path);

  // Errors: no_such_file_or_directory.
  Result<void> drop(const std::string& id);

  std::size_t count();

 private:
  Result<std::vector<std::string>> ids() const;  // sorted
  void forget(const std::string& id) const;
  bool is_unproven(const std::string& id) const;

  FileStore& store_;
  std::set<std::string> unproven_;  // ids, since the start
  std::mutex mutex_;  // held while something is published or dropped: it happens by hand
};

}  // namespace skein
