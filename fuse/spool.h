// Files of this host that hold what is being written, until a node has it; and the bytes of those
// that no node took.
//
//   SPOOL/                  unnamed files (O_TMPFILE): gone with the process, whatever happens
//   SPOOL/recover/          bytes that were acknowledged to a writer and are not visible yet, or
//                           could not be stored (fuse/recovery.h)
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/error.h"
#include "core/fd.h"
#include "fuse/recovery.h"

namespace skein {

class Spool {
 public:
  // Makes the folder and recover/ in it (mode 0700), where absent. `max_bytes` 0 = the free space of
  // its disk.
  // Errors: as mkdir(2), open(2).
  static Result<std::unique_ptr<Spool>> open(const std::filesystem::path& folder,
                                             const std::string& cluster, std::uint64_t max_bytes);

  // An empty private file, open for reading and writing.
  Result<Fd> create();

  // Counts bytes against max_bytes. Errors: no_space_on_device, and nothing is counted.
  Result<void> reserve(std::uint64_t bytes);
  void give_back(std::uint64_t bytes) { used_bytes_ -= bytes; }

  // Names the bytes of `fd` in recover/, under `id` (a UUID): a link where fd lies on the spool's
  // disk and has no name, else a copy. Doing it again for one id renews the note, and a copy.
  // kWillStore: this mount means to store it, so that while it lives nobody else may.
  // Errors: as linkat(2), write(2).
  enum class Then { kWillStore, kStays };
  Result<void> keep(const std::string& id, int fd, const RecoveryNote& note, Then then);
  // A node has the bytes now.
  void release(const std::string& id);

  // Files in recover/, for the start message.
  std::size_t kept() const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  Spool(std::filesystem::path folder, std::string cluster, std::uint64_t max_bytes)
      : folder_(std::move(folder)), cluster_(std::move(cluster)), max_bytes_(max_bytes) {}

  std::filesystem::path data_path(const std::string& id) const;
  std::filesystem::path note_path(const std::string& id) const;

  const std::filesystem::path folder_;
  const std::string cluster_;
  const std::uint64_t max_bytes_;
  std::atomic<std::uint64_t> used_bytes_{0};

  std::mutex mutex_;  // guards the map; not held while files are written
  std::map<std::string, Fd> held_;  // locks of those kept for kWillStore, by id
};

}  // namespace skein
