// Which directories' names the kernel may keep from one opendir(3) to the next (FOPEN_KEEP_CACHE):
// those whose listing is still the one it was given. Own changes of a directory the kernel knows.
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "cache/tree.h"
#include "core/clock.h"

namespace skein {

class KeptNames {
 public:
  // Directories remembered, some 60 bytes each; beyond it all are asked for once more.
  static constexpr std::size_t kMostDirectories = 65536;

  explicit KeptNames(Clock now) : now_(std::move(now)) {}

  // The directory is opened while its listing has `version` (ShareHeads::version, 0 unknown). False:
  // the kernel has to read the names anew. `settled`: no unsealed file is in it, which may vanish
  // without a request of the kernel. `trust`: how long an entry of it is believed; with names kept
  // for longer, each entry would have to be looked up one by one.
  bool keep(Inode directory, std::uint64_t version, bool settled, std::chrono::milliseconds trust);
  // It was opened before its listing had a version, and that came to be `version`; no unsealed file
  // was in it.
  void gave(Inode directory, std::uint64_t version, TimePoint opened);

 private:
  struct Given {
    std::uint64_t version = 0;
    TimePoint when{};
  };
  Given& given_to(Inode directory);  // precondition: the mutex is held

  const Clock now_;

  std::mutex mutex_;  // guards everything below
  std::unordered_map<Inode, Given> given_;
};

}  // namespace skein
