// Opens names below a folder and never outside of it: not by "..", not by a symlink, not by a race
// with somebody who moves directories about (openat2(2), RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS).
// A symlink that stays inside the folder is followed, but not to the server's private files.
// Thread-safe.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <optional>

#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"

namespace skein {

// As open(2), close-on-exec. Errors: as open(2); permission_denied for what leads out of the
// folder.
Result<Fd> open_beneath(int root, const ClusterPath& path, int flags, mode_t mode = 0);

// An empty directory may be removed, by hand or by another client, between its look-up and its use.
// Who needs it looks it up and makes it anew at most so often.
inline constexpr int kMostRemovals = 10;

// The directory at `path`, for use as a base (O_PATH). With kMake, missing ones are made on the
// way (mode 0755). Errors: not_a_directory when a file is in the way, others as open(2), mkdir(2).
enum class Missing { kFail, kMake };
Result<Fd> open_directory(int root, const ClusterPath& path, Missing missing);

// The mode of a file that grows by appends (docs/wire.md, "Appends"): what PYME's server gives it, and
// the sticky bit, which means nothing on a file, so that listings tell it from one put there by hand
// with no other look at it.
inline constexpr mode_t kGrowingMode = S_ISVTX | 0644;

// What stands at a name; the fields of statx(2) that this server needs.
struct Found {
  enum class Kind { kFile, kDirectory, kOther };
  Kind kind = Kind::kOther;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;  // since 1970; a file's writer may set it
  std::int64_t ctime_ns = 0;  // of the last change also of attributes and names
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  mode_t permissions = 0;
  bool writable = false;  // someone has write permission: not published by a server, may grow
  bool grows = false;     // grows by appends: kGrowingMode

  bool operator==(const Found&) const = default;
};

// nullopt: no such name. Errors: as stat(2); permission_denied for what leads out of the folder.
Result<std::optional<Found>> find_beneath(int root, const ClusterPath& path);

// The same for an open descriptor. Errors: as fstat(2).
Result<Found> found_at(int fd);

// The same for one name of an open directory, symlinks not followed (they are kOther).
Result<std::optional<Found>> find_in(int directory, const char* name);

}  // namespace skein
