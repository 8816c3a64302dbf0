// The record of a change that is about to be made in place to a file whose parts depend on each
// other: whoever finds a complete record after a crash makes the change again; an incomplete one was
// never acknowledged and is ignored.
//
// The journal of one file, little-endian:
//   header   "SKEINRJ1", u64 inode and u64 birth time of the file, u32 bytes of its path, the path,
//            u64 checksum (core/checksum.h) of all before it
//   records  u64 checksum of what follows it in the record, u64 sequence number, u64 length of the
//            file afterwards, u64 bytes of the record, u64 number of runs; then u64 offset and
//            u64 bytes of each run; then their contents
// Sequence numbers count up from that of the first record. One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/fd.h"

namespace skein {

// Bytes to be written at a place of the file.
struct RedoRun {
  std::uint64_t offset = 0;
  std::span<const char> bytes;
};

class RedoJournal {
 public:
  struct Options {
    int directory = -1;  // where journals lie; borrowed
    std::string path;    // of the file, for who looks for it after a crash
    bool sync = false;   // records survive a power cut
  };
  // The journal of the open `file`, which is borrowed. One that was left by a crash is replayed into
  // the file and emptied first; one of another file that had the same inode is dropped. Errors: as
  // open(2), read(2), write(2).
  static Result<RedoJournal> open(int file, Options options);

  // The paths of files that have journals in `directory`.
  static Result<std::vector<std::string>> left_in(int directory);

  // On an error nothing is recorded.
  Result<void> append(std::span<const RedoRun> runs, std::uint64_t file_bytes);
  // Precondition: what the records say was done (and, with Options::sync, is on the disk).
  Result<void> empty();
  std::uint64_t size_bytes() const { return end_; }

  // empty(), and the journal's name goes.
  Result<void> remove();

 private:
  RedoJournal(Fd fd, std::string name, Options options);
  Result<void> write_header(int file);
  Result<void> replay(int file);

  Fd fd_;
  std::string name_;
  Options options_;
  std::uint64_t begin_ = 0;  // behind the header
  std::uint64_t end_ = 0;
  std::uint64_t sequence_ = 0;
};

// Makes the change. Errors: as write(2); then a part of it may be made.
Result<void> apply_runs(int file, std::span<const RedoRun> runs, std::uint64_t file_bytes);

}  // namespace skein
