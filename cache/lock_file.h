// Locks among the processes that share one tree: who writes now, and who is present at all.
// LMDB has a writer lock of its own, but waits for it without a deadline: a process stopped in the
// middle of a change would stop the mount with it. This one is asked for again and again until a
// deadline. The locks end with the process, however it ends (fcntl(2), "Open file description
// locks").
//
// The writer lock is for one thread of a process at a time; the caller sees to it.
#pragma once

#include <filesystem>
#include <memory>

#include "core/clock.h"
#include "core/error.h"
#include "core/fd.h"

namespace skein {

class LockFile {
 public:
  // Made if absent (mode 0600). Errors: as open(2).
  static Result<std::shared_ptr<LockFile>> open(const std::filesystem::path& path);

  // Still the file at that path; false when somebody deleted or replaced it.
  bool is_at(const std::filesystem::path& path) const;

  // Errors: timed_out (another process is writing, or stopped while it was).
  Result<void> lock_writer(Deadline deadline);
  void unlock_writer();

  // True if no other process is present; nobody else can then become present until be_present().
  bool be_alone();
  void be_present();

 private:
  explicit LockFile(Fd fd) : fd_(std::move(fd)) {}
  int set(short type, int byte);

  const Fd fd_;
};

// Unlocks the writer lock at the end of its scope.
class WriterTurn {
 public:
  explicit WriterTurn(std::shared_ptr<LockFile> locked) : locked_(std::move(locked)) {}
  WriterTurn(WriterTurn&&) = default;
  WriterTurn& operator=(WriterTurn&&) = delete;
  ~WriterTurn() {
    if (locked_) locked_->unlock_writer();
  }

 private:
  std::shared_ptr<LockFile> locked_;
};

}  // namespace skein
