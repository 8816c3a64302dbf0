// A file as a program with parts that depend on each other wants to change it: writes stay in
// memory until commit() makes all of them at once, or drop() forgets them. Pages of 4 KiB.
//
// With a journal (redo_journal.h) a commit is whole or not there at all after a crash. Without one it
// is written straight away: for a file that nobody can see yet. Not thread-safe.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>

#include "aggregate/redo_journal.h"
#include "core/fd.h"

namespace skein {

class FileImage {
 public:
  static constexpr std::size_t kPageBytes = 4096;
  // From this length on the journal is emptied after a commit, which takes a flush of the file.
  static constexpr std::uint64_t kMaxJournalBytes = 64 * 1024 * 1024;

  // Errors: as fstat(2).
  static Result<FileImage> open(Fd file, bool sync);

  int fd() const { return file_.get(); }
  std::uint64_t size_bytes() const { return size_; }
  std::size_t dirty_bytes() const { return pages_.size() * kPageBytes; }

  // Bytes past the end are zero. Errors: as pread(2).
  Result<void> read(std::uint64_t offset, std::span<char> into) const;
  // Errors: as pread(2), for the rest of a page.
  Result<void> write(std::uint64_t offset, std::span<const char> bytes);
  void set_size(std::uint64_t bytes) { size_ = bytes; }

  // Errors: as RedoJournal::append() and before that posix_fallocate(3): nothing is changed, the
  // writes are still there, to be dropped. If failed() is true after an error, the change is recorded.
  Result<void> commit();
  void drop();

  // The next commits go through a journal. Precondition: nothing is dirty.
  void keep_journal(RedoJournal journal) { journal_ = std::move(journal); }
  // A recorded change could not be made, or not flushed: the file must be opened anew, which makes
  // it again.
  bool failed() const { return failed_; }

  // Flushes the file where that is asked for, and takes the journal away. Errors: as fdatasync(2);
  // then the journal stays.
  Result<void> close_journal();

 private:
  using Page = std::array<char, kPageBytes>;

  FileImage(Fd file, std::uint64_t size, bool sync)
      : file_(std::move(file)), sync_(sync), size_(size), committed_size_(size) {}
  Result<void> read_file(std::uint64_t offset, std::span<char> into) const;
  Result<void> checkpoint();

  Fd file_;
  bool sync_;
  std::uint64_t size_;
  std::uint64_t committed_size_;
  bool failed_ = false;
  std::optional<RedoJournal> journal_;
  std::map<std::uint64_t, std::unique_ptr<Page>> pages_;  // by number; those written to
};

}  // namespace skein
