// Bytes that no node has yet, as plain files on a local disk:
//
//   FOLDER/<run>/<path in the cluster>      e.g. FOLDER/20260102-030405-4711/scan/frame00042.pzf
//
// A run is one program's; a second file of an equal path goes to <run>.2 and so on, so nothing is
// overwritten, and `cp -r FOLDER/<run>/. MOUNT` or `skein put` recovers by hand. A file has its
// name only when it is whole (also after kill -9; a power cut may take what was not written back).
// While its program lives, a run is locked (flock), so that another one can tell what was left
// behind: left_behind().
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"

namespace skein {

class KeptFiles {
 public:
  // Makes nothing on the disk before the first keep(). "" = keeps nothing.
  explicit KeptFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}
  // Removes what is empty of its own runs.
  ~KeptFiles();

  const std::filesystem::path& folder() const { return folder_; }

  // Returns where it is. Errors: not_supported (no folder), those of open(2), write(2), linkat(2);
  // then nothing is left.
  using Pieces = std::span<const std::span<const char>>;  // of one file, in order
  Result<std::filesystem::path> keep(const ClusterPath& path, Pieces pieces);

  struct Kept {
    ClusterPath path;
    std::filesystem::path file;
    std::uint64_t size_bytes = 0;
  };
  // The files of programs that have ended; their runs are locked from now on, so that one program
  // alone takes each. Errors: those of reading the folder; a folder that is not there is empty.
  Result<std::vector<Kept>> left_behind();

 private:
  struct Run {
    std::filesystem::path folder;
    Fd lock;
  };
  Result<void> start_run(std::size_t number);

  const std::filesystem::path folder_;

  std::mutex mutex_;  // guards everything below
  std::string name_;  // of the first run, "" before there is one
  std::vector<Run> runs_;
  std::vector<Run> taken_;  // by left_behind()
};

}  // namespace skein
