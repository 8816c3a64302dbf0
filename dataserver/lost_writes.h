// Which files may have lost bytes that were in memory only when their filesystem went away: a power
// cut, a crash of the kernel, a disk pulled out.
//
// Filesystems write a name and a length with their journal and the bytes when they come to it: ext4
// may show the whole length and zeros (its extents are "unwritten" until the bytes are there). So
// files written shortly before such an end are compared with their checksum before they are served.
//
// ROOT/.skein/session tells which mount of the filesystem in which boot the last server ran on, and
// its modification time, renewed with publishes, until when. A server that finds another mount notes
// a window around that time; windows stay until kMostWindows newer ones have come.
// A clean end of a server is not told apart: the cut may follow it. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/fd.h"

namespace skein {

class LostWrites {
 public:
  // Linux writes what is dirty for 30 s, when it keeps up; this is generous.
  static constexpr std::int64_t kBefore_ns = 600'000'000'000;
  // How old the session's time may be when a file is published, and a spare minute for clocks.
  static constexpr std::int64_t kRenewal_ns = 60'000'000'000;
  static constexpr std::int64_t kAfter_ns = 2 * kRenewal_ns;
  static constexpr std::size_t kMostWindows = 16;

  // `folder` is the open private folder; borrowed for the call. Errors: as open(2), write(2),
  // fsync(2).
  static Result<std::unique_ptr<LostWrites>> open(int folder);
  // The same on the mount that `mount` names, for tests of what another boot finds.
  static Result<std::unique_ptr<LostWrites>> open(int folder, const std::string& mount);

  // A file is about to become visible.
  void publishing();

  // May a file that was last changed at `time_ns` (since 1970) have lost bytes?
  bool suspects(std::int64_t time_ns) const;

 private:
  struct Window {
    std::int64_t from_ns = 0;
    std::int64_t until_ns = 0;
  };
  LostWrites() = default;

  Fd session_;
  std::vector<Window> windows_;
  std::atomic<std::int64_t> renewed_ns_ = 0;  // steady clock
};

}  // namespace skein
