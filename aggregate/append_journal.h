// What is certain about one growing file: a ring of its latest appends, in a file of its own below
// ROOT/.skein/append/. It tells a restarted server where the last acknowledged append ended, with
// checksums that show after a power cut which bytes really reached the disk, and which requests were
// carried out already.
//
// Sizes and layout, all little-endian:
//   0     head, 8192 bytes: "SKAJ0001", u64 length of the path, the path, u64 XXH3 of all before
//   8192  4096 records of 64 bytes; the append with sequence s (from 1) is record (s - 1) % 4096:
//         u64 sequence, u64 end (bytes of the file after it), u64 length, u64 XXH3 of its bytes,
//         16 bytes request id (zero: none), u64 zero, u64 XXH3 of the 56 bytes before
// Rejected: a length in one place, which cannot tell after a power cut whether the bytes below it
// came to the disk, unless each append waits for two flushes.
//
// A record is one pwrite(2) of 64 aligned bytes: there or not, when the process is killed. The room
// is reserved at the beginning, so that a full disk cannot stop a record. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"

namespace skein {

// The 16 bytes of a UUID that the client made for one append.
using RequestId = std::array<unsigned char, 16>;
// nullopt: not a UUID as core/uuid.h writes it, or the zero one.
std::optional<RequestId> parse_request_id(std::string_view text);

struct AppendRecord {
  std::uint64_t sequence = 0;  // from 1
  std::uint64_t end = 0;       // bytes of the file after it
  std::uint64_t length = 0;
  std::uint64_t checksum = 0;  // XXH3 of its bytes
  RequestId request{};         // zero: none

  std::uint64_t start() const { return end - length; }
};

class AppendJournal {
 public:
  static constexpr std::uint64_t kRecords = 4096;

  // A new one, for the file at `path`, named `name` in `directory`. Errors: as open(2), write(2).
  static Result<AppendJournal> create(int directory, const std::string& name,
                                      const ClusterPath& path);
  // Errors: as open(2); bad_message (no journal, or a damaged head).
  static Result<AppendJournal> open(int directory, const std::string& name);

  const ClusterPath& path() const { return path_; }
  int fd() const { return fd_.get(); }

  // Errors: as pwrite(2); then the record is not there.
  Result<void> write(const AppendRecord& record);
  // Those that are whole, by sequence. Errors: as pread(2).
  Result<std::vector<AppendRecord>> read() const;
  // Forgets records that recovery did not accept.
  Result<void> erase(const AppendRecord& record);

 private:
  AppendJournal(Fd fd, ClusterPath path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Fd fd_;
  ClusterPath path_;
};

// The records that belong together and were flushed longest ago at their beginning: later ones may
// have come to the disk without those between. Precondition: sorted by sequence. Never more than
// kRecords / 2 appends may be written between two flushes for this to be right.
std::vector<AppendRecord> trusted_run(const std::vector<AppendRecord>& records);

}  // namespace skein
