#include "dataserver/directory_scan.h"

#include <dirent.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "aggregate/append_target.h"

namespace skein {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;

// Calls `take` with each name; the name is zero-terminated.
template <typename Take>
Result<void> for_each_name(int directory, Take take) {
  // A descriptor of its own: the position of the caller's is shared by all who read it.
  const Fd fd(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "read directory");
  const auto piece = std::make_unique_for_overwrite<char[]>(kPieceBytes);
  for (;;) {
    const ssize_t n = ::getdents64(fd.get(), piece.get(), kPieceBytes);
    if (n < 0) return errno_error(errno, "read directory");
    if (n == 0) return {};
    for (ssize_t at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(piece.get() + at);
      at += entry->d_reclen;
      const char* name = entry->d_name;
      const bool dots = name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
      if (!dots) take(name, entry->d_type);
    }
  }
}

Scan::Directory scan_directory(int base, const char* name, const Found& found) {
  Scan::Directory directory{name, found, {}};
  const Fd fd(::openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return directory;
  if (const auto summary = summarize(fd.get())) directory.summary = *summary;
  return directory;
}

void add_file(Scan& result, const char* name, const Found& found, std::int64_t settled_before,
              bool sizes_are_told) {
  const bool untold = found.grows && !sizes_are_told;
  const bool ages = found.writable && !untold && found.mtime_ns > settled_before;
  if (found.writable && !ages) result.writable = true;
  const std::int64_t size = untold ? -1 : static_cast<std::int64_t>(found.size_bytes);
  (ages ? result.growing : result.settled).emplace_back(name, size);
}

}  // namespace

Entry Summary::entry() const {
  Entry entry{Entry::kDirectory, names};
  if (series) entry.type |= Entry::kSeries;
  if (complete) entry.type |= Entry::kSeriesComplete;
  return entry;
}

Entry file_entry(std::string_view name, std::int64_t size_bytes) {
  const bool series = name.ends_with(".h5");
  return {series ? Entry::kSeries | Entry::kSeriesComplete : 0, size_bytes};
}

Result<std::vector<ScannedName>> names_in(int directory) {
  std::vector<ScannedName> names;
  auto read = for_each_name(directory, [&](const char* name, unsigned char kind) {
    names.push_back({name, kind});
  });
  if (!read) return read.error();
  return names;
}

Result<Summary> summarize(int directory) {
  Summary summary;
  auto read = for_each_name(directory, [&](const char* name, unsigned char) {
    ++summary.names;
    if (name[0] == 'm' && std::strcmp(name, "metadata.json") == 0) summary.series = true;
    if (name[0] == 'e' && std::strcmp(name, "events.json") == 0) summary.complete = true;
  });
  if (!read) return read.error();
  return summary;
}

Result<Scan> scan(int root, int directory, const ClusterPath& path, const IsTorn& is_torn) {
  Scan result;
  const auto now = std::chrono::system_clock::now().time_since_epoch() - kSettleTime;
  const auto settled_before = std::chrono::nanoseconds(now).count();
  // Clients know that what lies there may grow.
  const bool sizes_are_told = !path.is_root() && path.components().front() == kGrowingFolder;
  auto read = for_each_name(directory, [&](const char* name, unsigned char kind) {
    if (path.is_root() && name == kPrivateFolder) return;
    if (kind != DT_REG && kind != DT_DIR && kind != DT_LNK && kind != DT_UNKNOWN) return;
    auto found = find_in(directory, name);
    // What went away meanwhile, or cannot be seen, is not listed.
    if (!found || !*found) return;
    if ((*found)->kind == Found::Kind::kOther) {
      const auto child = path.child(name);
      if (!child) return;
      found = find_beneath(root, *child);
      if (!found || !*found) return;
      // Size and time of what it leads to may change with no trace in this directory.
      (*found)->writable = true;
    }
    if ((*found)->kind == Found::Kind::kDirectory) {
      result.directories.push_back(scan_directory(directory, name, **found));
    } else if ((*found)->kind == Found::Kind::kFile && !is_torn(directory, path, name, **found)) {
      add_file(result, name, **found, settled_before, sizes_are_told);
    }
  });
  if (!read) return read.error();
  return result;
}

}  // namespace skein
