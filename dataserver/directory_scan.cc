#include "dataserver/directory_scan.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>

#include "aggregate/append_target.h"

namespace skein {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;

// Names looked at between two calls of ScanWatch::found(): few at first and on a slow disk.
constexpr std::size_t kLeastBatch = 256;
constexpr std::size_t kFirstBatch = 2048;
constexpr std::size_t kMostBatch = 8192;
constexpr std::chrono::milliseconds kBatchTime{250};
// Names sorted without a word to who watches.
constexpr std::size_t kSortedRun = 256 * 1024;

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

// Zero-terminated one behind the other, a third of the memory of as many strings. In the order in
// which they were read, until sort().
class NameList {
 public:
  void add(const char* name) {
    offsets_.push_back(text_.size());
    text_.append(name).push_back('\0');
  }
  void sort(ScanWatch& watch);
  std::size_t size() const { return offsets_.size(); }
  const char* operator[](std::size_t i) const { return &text_[offsets_[i]]; }
  // Where it stood when it was read.
  std::size_t place(std::size_t i) const { return offsets_[i]; }

 private:
  std::string text_;
  std::vector<std::size_t> offsets_;
};

// In runs, because a sort of ten million names takes ten seconds.
void NameList::sort(ScanWatch& watch) {
  const auto before = [this](std::size_t a, std::size_t b) {
    return std::strcmp(&text_[a], &text_[b]) < 0;
  };
  const auto at = [this](std::size_t i) {
    return offsets_.begin() + static_cast<std::ptrdiff_t>(std::min(i, offsets_.size()));
  };
  for (std::size_t first = 0; first < offsets_.size(); first += kSortedRun) {
    std::sort(at(first), at(first + kSortedRun), before);
    watch.going_on();
  }
  for (std::size_t run = kSortedRun; run < offsets_.size(); run *= 2) {
    for (std::size_t first = 0; first + run < offsets_.size(); first += 2 * run) {
      std::inplace_merge(at(first), at(first + run), at(first + 2 * run), before);
      watch.going_on();
    }
  }
}

// Returns the size that is listed.
std::int64_t add_file(Scan& result, const char* name, const Found& found,
                      std::int64_t settled_before, bool sizes_are_told) {
  const bool untold = found.grows && !sizes_are_told;
  const bool ages = found.writable && !untold && found.mtime_ns > settled_before;
  if (found.writable && !ages) result.writable = true;
  const std::int64_t size = untold ? -1 : static_cast<std::int64_t>(found.size_bytes);
  (ages ? result.growing : result.settled).emplace_back(name, size);
  return size;
}

// Looks at one name after the other.
class Scanner {
 public:
  Scanner(int root, int directory, const ClusterPath& path, const IsTorn& is_torn)
      : root_(root), directory_(directory), path_(path), is_torn_(is_torn) {
    const auto now = std::chrono::system_clock::now().time_since_epoch() - kSettleTime;
    settled_before_ = std::chrono::nanoseconds(now).count();
    // Clients know that what lies there may grow.
    sizes_are_told_ = !path.is_root() && path.components().front() == kGrowingFolder;
  }

  // False: there cannot be an entry of that name.
  bool listable(const char* name, unsigned char kind) const {
    if (path_.is_root() && name == kPrivateFolder) return false;
    return kind == DT_REG || kind == DT_DIR || kind == DT_LNK || kind == DT_UNKNOWN;
  }
  void take(const char* name);
  // Those from `first` to before `last` of the sorted names.
  void take(const NameList& names, std::size_t first, std::size_t last, ScanWatch& watch);
  Scan result() { return std::move(result_); }

 private:
  std::optional<Found> look_at(const char* name) const;
  std::optional<Entry> add(const char* name, const Found& found);

  const int root_;
  const int directory_;
  const ClusterPath& path_;
  const IsTorn& is_torn_;
  std::int64_t settled_before_ = 0;
  bool sizes_are_told_ = false;
  Scan result_;
};

// What went away meanwhile, or cannot be seen, is not listed.
std::optional<Found> Scanner::look_at(const char* name) const {
  const auto found = find_in(directory_, name);
  if (!found || !*found || (*found)->kind != Found::Kind::kOther) {
    return found ? *found : std::nullopt;
  }
  const auto child = path_.child(name);
  if (!child) return std::nullopt;
  auto led_to = find_beneath(root_, *child);
  if (!led_to || !*led_to) return std::nullopt;
  // Size and time of what it leads to may change with no trace in this directory.
  (*led_to)->writable = true;
  return *led_to;
}

std::optional<Entry> Scanner::add(const char* name, const Found& found) {
  if (found.kind == Found::Kind::kDirectory) {
    result_.directories.push_back(scan_directory(directory_, name, found));
    return result_.directories.back().summary.entry();
  }
  if (found.kind != Found::Kind::kFile) return std::nullopt;
  if (is_torn_(directory_, path_, name, found)) {
    result_.withheld = true;
    return std::nullopt;
  }
  return file_entry(name, add_file(result_, name, found, settled_before_, sizes_are_told_));
}

void Scanner::take(const char* name) {
  if (const auto found = look_at(name)) (void)add(name, *found);
}

void Scanner::take(const NameList& names, std::size_t first, std::size_t last, ScanWatch& watch) {
  // In the order in which the names were read, which scatters them over the disk: so the kernel
  // reads ahead at many places at once. In order of the names a cold scan takes a third longer.
  std::vector<std::size_t> order(last - first);
  std::iota(order.begin(), order.end(), first);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return names.place(a) < names.place(b); });
  std::vector<std::optional<Found>> found(last - first);
  for (const std::size_t i : order) {
    watch.going_on();
    found[i - first] = look_at(names[i]);
  }
  std::vector<NamedEntry> entries;
  entries.reserve(last - first);
  for (std::size_t i = first; i < last; ++i) {
    if (!found[i - first]) continue;
    watch.going_on();
    if (const auto entry = add(names[i], *found[i - first])) entries.push_back({names[i], *entry});
  }
  watch.found(entries);
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
  Scanner scanner(root, directory, path, is_torn);
  auto read = for_each_name(directory, [&](const char* name, unsigned char kind) {
    if (scanner.listable(name, kind)) scanner.take(name);
  });
  if (!read) return read.error();
  return scanner.result();
}

Result<Scan> scan(int root, int directory, const ClusterPath& path, const IsTorn& is_torn,
                  ScanWatch& watch) {
  Scanner scanner(root, directory, path, is_torn);
  NameList names;
  auto read = for_each_name(directory, [&](const char* name, unsigned char kind) {
    if (names.size() % kLeastBatch == 0) watch.going_on();
    if (scanner.listable(name, kind)) names.add(name);
  });
  if (!read) return read.error();
  if (!watch.counted(names.size())) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      watch.going_on();
      scanner.take(names[i]);
    }
    return scanner.result();
  }
  names.sort(watch);
  std::size_t batch = kFirstBatch;
  for (std::size_t first = 0, last = 0; first < names.size(); first = last) {
    const auto began = std::chrono::steady_clock::now();
    last = std::min(names.size(), first + batch);
    scanner.take(names, first, last, watch);
    // As many as may be looked at in kBatchTime.
    const auto took = std::chrono::steady_clock::now() - began;
    const double rate = static_cast<double>(last - first) / static_cast<double>(took.count() + 1);
    const double fitting = rate * static_cast<double>(std::chrono::nanoseconds(kBatchTime).count());
    batch = static_cast<std::size_t>(std::clamp<double>(fitting, kLeastBatch, kMostBatch));
  }
  return scanner.result();
}

}  // namespace skein
