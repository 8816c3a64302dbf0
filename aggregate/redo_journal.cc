#include "aggregate/redo_journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "core/checksum.h"

namespace skein {
namespace {

constexpr std::string_view kMagic = "SKEINRJ1";
constexpr std::string_view kPrefix = "redo-";
constexpr std::size_t kFixedHeader = kMagic.size() + 8 + 8 + 4;
constexpr std::size_t kRecordHead = 5 * 8;
constexpr std::size_t kRunHead = 16;
constexpr std::size_t kMaxPath = 8192;

template <typename Number>
void put(std::string& out, Number value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);  // little-endian hosts only
}
template <typename Number>
Number get(std::string_view text, std::size_t at) {
  Number value;
  std::memcpy(&value, text.data() + at, sizeof value);
  return value;
}

Result<void> write_all(int fd, std::span<const char> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

// Fewer bytes only at the end of the file.
Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t got = 0;
  while (got < bytes) {
    const ssize_t n = ::pread(fd, text.data() + got, bytes - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read append journal");
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  text.resize(got);
  return text;
}

struct Identity {
  std::uint64_t inode = 0;
  std::uint64_t born_ns = 0;  // 0 where the filesystem does not know
  std::string journal_name;
};

Result<Identity> identity_of(int file) {
  struct statx found {};
  if (::statx(file, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &found) != 0) {
    return errno_error(errno, "look at a growing file");
  }
  Identity identity;
  identity.inode = found.stx_ino;
  if ((found.stx_mask & STATX_BTIME) != 0) {
    identity.born_ns = static_cast<std::uint64_t>(found.stx_btime.tv_sec) * 1'000'000'000 +
                       found.stx_btime.tv_nsec;
  }
  char name[64];
  std::snprintf(name, sizeof name, "redo-%x-%x-%llx", found.stx_dev_major, found.stx_dev_minor,
                static_cast<unsigned long long>(identity.inode));
  identity.journal_name = name;
  return identity;
}

// Without its checksum.
std::string header_text(const Identity& identity, const std::string& path) {
  std::string text(kMagic);
  put(text, identity.inode);
  put(text, identity.born_ns);
  put(text, static_cast<std::uint32_t>(path.size()));
  return text + path;
}

// The path in a complete header; nullopt for anything else.
std::optional<std::string> path_in_header(int fd) {
  const auto fixed = read_at(fd, 0, kFixedHeader);
  if (!fixed || fixed->size() < kFixedHeader || !fixed->starts_with(kMagic)) return std::nullopt;
  const auto length = get<std::uint32_t>(*fixed, kFixedHeader - 4);
  if (length > kMaxPath) return std::nullopt;
  const auto whole = read_at(fd, 0, kFixedHeader + length + 8);
  if (!whole || whole->size() != kFixedHeader + length + 8) return std::nullopt;
  const std::string_view text = std::string_view(*whole).substr(0, kFixedHeader + length);
  if (checksum_of(text) != get<std::uint64_t>(*whole, text.size())) return std::nullopt;
  return std::string(text.substr(kFixedHeader));
}

struct Record {
  std::string text;  // owns what the runs point into
  std::vector<RedoRun> runs;
  std::uint64_t sequence = 0;
  std::uint64_t file_bytes = 0;
};

// The record at `offset`; nullopt: none, or not a whole one.
std::optional<Record> read_record(int fd, std::uint64_t offset, std::uint64_t journal_bytes) {
  const auto head = read_at(fd, offset, kRecordHead);
  if (!head || head->size() < kRecordHead) return std::nullopt;
  const auto bytes = get<std::uint64_t>(*head, 24);
  const auto count = get<std::uint64_t>(*head, 32);
  if (bytes > journal_bytes - offset || count > bytes / kRunHead ||
      kRecordHead + count * kRunHead > bytes) {
    return std::nullopt;
  }
  auto text = read_at(fd, offset, static_cast<std::size_t>(bytes));
  if (!text || text->size() != bytes) return std::nullopt;
  if (checksum_of(std::span<const char>(*text).subspan(8)) != get<std::uint64_t>(*text, 0)) {
    return std::nullopt;
  }
  Record record;
  record.text = std::move(*text);
  record.sequence = get<std::uint64_t>(record.text, 8);
  record.file_bytes = get<std::uint64_t>(record.text, 16);
  std::uint64_t at = kRecordHead + count * kRunHead;
  for (std::uint64_t i = 0; i < count; ++i) {
    RedoRun run;
    run.offset = get<std::uint64_t>(record.text, kRecordHead + i * kRunHead);
    const auto length = get<std::uint64_t>(record.text, kRecordHead + i * kRunHead + 8);
    if (length > bytes - at) return std::nullopt;
    run.bytes = std::span<const char>(record.text).subspan(at, length);
    at += length;
    record.runs.push_back(run);
  }
  return record;
}

}  // namespace

Result<void> apply_runs(int file, std::span<const RedoRun> runs, std::uint64_t file_bytes) {
  // From the end: what lies at the front of a file refers to what lies behind.
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    if (auto written = write_all(file, run->bytes, run->offset); !written) return written;
  }
  if (::ftruncate(file, static_cast<off_t>(file_bytes)) != 0) return errno_error(errno, "set length");
  return {};
}

RedoJournal::RedoJournal(Fd fd, std::string name, Options options)
    : fd_(std::move(fd)), name_(std::move(name)), options_(std::move(options)) {}

Result<RedoJournal> RedoJournal::open(int file, Options options) {
  const auto identity = identity_of(file);
  if (!identity) return identity.error();
  const std::string& name = identity->journal_name;
  Fd fd(::openat(options.directory, name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return errno_error(errno, "open append journal");
  const std::string header = header_text(*identity, options.path);
  const auto old = read_at(fd.get(), 0, header.size() + 8);
  if (!old) return old.error();
  RedoJournal journal(std::move(fd), name, std::move(options));
  const bool ours = old->size() == header.size() + 8 && old->starts_with(header) &&
                    get<std::uint64_t>(*old, header.size()) == checksum_of(header);
  journal.begin_ = journal.end_ = header.size() + 8;
  if (ours) {
    if (auto replayed = journal.replay(file); !replayed) return replayed.error();
    return journal;
  }
  if (auto written = journal.write_header(file); !written) return written.error();
  return journal;
}

Result<void> RedoJournal::write_header(int file) {
  const auto identity = identity_of(file);
  if (!identity) return identity.error();
  std::string header = header_text(*identity, options_.path);
  put(header, checksum_of(header));
  if (::ftruncate(fd_.get(), 0) != 0) return errno_error(errno, "empty append journal");
  if (auto written = write_all(fd_.get(), header, 0); !written) return written;
  if (!options_.sync) return {};
  // The name too: a journal that a power cut takes away could not repair anything.
  const Fd directory(::openat(options_.directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (::fdatasync(fd_.get()) != 0 || !directory || ::fsync(directory.get()) != 0) {
    return errno_error(errno, "sync append journal");
  }
  return {};
}

Result<void> RedoJournal::replay(int file) {
  struct stat found {};
  if (::fstat(fd_.get(), &found) != 0) return errno_error(errno, "look at append journal");
  const auto journal_bytes = static_cast<std::uint64_t>(found.st_size);
  std::uint64_t at = begin_;
  std::optional<std::uint64_t> last;
  while (auto record = read_record(fd_.get(), at, journal_bytes)) {
    if (last && record->sequence != *last + 1) break;
    last = record->sequence;
    if (auto made = apply_runs(file, record->runs, record->file_bytes); !made) return made;
    at += record->text.size();
  }
  if (last && options_.sync && ::fdatasync(file) != 0) return errno_error(errno, "sync growing file");
  if (last) sequence_ = *last + 1;
  return empty();
}

Result<std::vector<std::string>> RedoJournal::left_in(int directory) {
  const Fd listed(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!listed) return errno_error(errno, "list append journals");
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(::dup(listed.get())), ::closedir);
  if (!entries) return errno_error(errno, "list append journals");
  std::vector<std::string> paths;
  while (const dirent* entry = ::readdir(entries.get())) {
    if (!std::string_view(entry->d_name).starts_with(kPrefix)) continue;
    const Fd fd(::openat(directory, entry->d_name, O_RDONLY | O_CLOEXEC));
    auto path = fd ? path_in_header(fd.get()) : std::nullopt;
    if (path) {
      paths.push_back(std::move(*path));
    } else {
      // Cut short before its first record was.
      ::unlinkat(directory, entry->d_name, 0);
    }
  }
  return paths;
}

Result<void> RedoJournal::append(std::span<const RedoRun> runs, std::uint64_t file_bytes) {
  std::string table;
  std::uint64_t bytes = kRecordHead + runs.size() * kRunHead;
  for (const RedoRun& run : runs) bytes += run.bytes.size();
  put(table, sequence_);
  put(table, file_bytes);
  put(table, bytes);
  put(table, static_cast<std::uint64_t>(runs.size()));
  for (const RedoRun& run : runs) {
    put(table, run.offset);
    put(table, static_cast<std::uint64_t>(run.bytes.size()));
  }
  Checksum sum;
  sum.add(table);
  for (const RedoRun& run : runs) sum.add(run.bytes);
  std::string head;
  put(head, sum.value());
  head += table;

  std::uint64_t at = end_;
  auto written = write_all(fd_.get(), head, at);
  at += head.size();
  for (std::size_t i = 0; written && i < runs.size(); ++i) {
    written = write_all(fd_.get(), runs[i].bytes, at);
    at += runs[i].bytes.size();
  }
  if (written && options_.sync && ::fdatasync(fd_.get()) != 0) {
    written = errno_error(errno, "sync append journal");
  }
  if (!written) {
    // Half a record would be ignored, but what comes next must not stand behind it.
    if (::ftruncate(fd_.get(), static_cast<off_t>(end_)) != 0) return errno_error(errno, "set length");
    return written;
  }
  end_ = at;
  ++sequence_;
  return {};
}

Result<void> RedoJournal::empty() {
  if (::ftruncate(fd_.get(), static_cast<off_t>(begin_)) != 0) {
    return errno_error(errno, "empty append journal");
  }
  end_ = begin_;
  return {};
}

Result<void> RedoJournal::remove() {
  if (auto emptied = empty(); !emptied) return emptied;
  if (::unlinkat(options_.directory, name_.c_str(), 0) != 0) {
    return errno_error(errno, "remove append journal");
  }
  return {};
}

}  // namespace skein
