#include "aggregate/append_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <span>

#include "core/checksum.h"
#include "core/uuid.h"

namespace skein {
namespace {

static_assert(std::endian::native == std::endian::little, "the journal is written as it lies");

constexpr std::string_view kMagic = "SKAJ0001";
constexpr std::size_t kHeadBytes = 8192;
constexpr std::size_t kRecordBytes = 64;
using HeadText = std::array<char, kHeadBytes>;
static_assert(kMagic.size() + 16 + kMaxPathBytes <= kHeadBytes);

struct RecordOnDisk {
  std::uint64_t sequence = 0;
  std::uint64_t end = 0;
  std::uint64_t length = 0;
  std::uint64_t checksum = 0;
  RequestId request{};
  std::uint64_t zero = 0;
  std::uint64_t own_checksum = 0;

  std::uint64_t sum() const {
    return checksum_of({reinterpret_cast<const char*>(this), kRecordBytes - sizeof own_checksum});
  }
};
static_assert(sizeof(RecordOnDisk) == kRecordBytes);

off_t place_of(std::uint64_t sequence) {
  return static_cast<off_t>(kHeadBytes +
                            (sequence - 1) % AppendJournal::kRecords * kRecordBytes);
}

Result<void> write_all(int fd, const void* bytes, std::size_t size, off_t at) {
  for (;;) {
    const ssize_t n = ::pwrite(fd, bytes, size, at);
    if (n == static_cast<ssize_t>(size)) return {};
    if (n < 0 && errno == EINTR) continue;
    return errno_error(n < 0 ? errno : EIO, "append journal");
  }
}

std::size_t read_all(int fd, char* into, std::size_t size, off_t at) {
  std::size_t got = 0;
  while (got < size) {
    const ssize_t n = ::pread(fd, into + got, size - got, at + static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += static_cast<std::size_t>(n);
  }
  return got;
}

HeadText head_of(const std::string& path) {
  HeadText head{};
  const std::uint64_t length = path.size();
  std::memcpy(head.data(), kMagic.data(), kMagic.size());
  std::memcpy(head.data() + kMagic.size(), &length, sizeof length);
  std::memcpy(head.data() + kMagic.size() + sizeof length, path.data(), path.size());
  const std::size_t used = kMagic.size() + sizeof length + path.size();
  const std::uint64_t sum = checksum_of(std::span(head).first(used));
  std::memcpy(head.data() + used, &sum, sizeof sum);
  return head;
}

std::optional<ClusterPath> path_in(const HeadText& head) {
  std::uint64_t length = 0;
  std::memcpy(&length, head.data() + kMagic.size(), sizeof length);
  if (length > kMaxPathBytes) return std::nullopt;
  const std::string path(head.data() + kMagic.size() + sizeof length, length);
  if (head_of(path) != head) return std::nullopt;
  auto parsed = ClusterPath::parse(path);
  if (!parsed || parsed->text() != path) return std::nullopt;
  return std::move(*parsed);
}

}  // namespace

std::optional<RequestId> parse_request_id(std::string_view text) {
  if (!is_uuid(text)) return std::nullopt;
  RequestId id{};
  std::size_t digit = 0;
  for (const char c : text) {
    if (c == '-') continue;
    const int value = c <= '9' ? c - '0' : c - 'a' + 10;
    id[digit / 2] = static_cast<unsigned char>(id[digit / 2] << 4 | value);
    ++digit;
  }
  if (id == RequestId{}) return std::nullopt;
  return id;
}

Result<AppendJournal> AppendJournal::create(int directory, const std::string& name,
                                            const ClusterPath& path) {
  Fd fd(::openat(directory, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return errno_error(errno, "append journal");
  const HeadText head = head_of(path.text());
  const int reserved =
      ::posix_fallocate(fd.get(), 0, static_cast<off_t>(kHeadBytes + kRecords * kRecordBytes));
  auto written = reserved == 0 ? write_all(fd.get(), head.data(), head.size(), 0)
                               : Result<void>(errno_error(reserved, "append journal"));
  if (!written) {
    ::unlinkat(directory, name.c_str(), 0);
    return written.error();
  }
  return AppendJournal(std::move(fd), path);
}

Result<AppendJournal> AppendJournal::open(int directory, const std::string& name) {
  Fd fd(::openat(directory, name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno_error(errno, "append journal " + name);
  HeadText head{};
  read_all(fd.get(), head.data(), head.size(), 0);
  auto path = path_in(head);
  if (!path) return Error{std::errc::bad_message, "append journal " + name + " is damaged"};
  return AppendJournal(std::move(fd), std::move(*path));
}

Result<void> AppendJournal::write(const AppendRecord& record) {
  RecordOnDisk text{record.sequence, record.end, record.length, record.checksum, record.request,
                    0, 0};
  text.own_checksum = text.sum();
  return write_all(fd_.get(), &text, sizeof text, place_of(record.sequence));
}

Result<void> AppendJournal::erase(const AppendRecord& record) {
  const RecordOnDisk none{};
  return write_all(fd_.get(), &none, sizeof none, place_of(record.sequence));
}

Result<std::vector<AppendRecord>> AppendJournal::read() const {
  std::vector<RecordOnDisk> texts(kRecords);
  read_all(fd_.get(), reinterpret_cast<char*>(texts.data()), kRecords * kRecordBytes, kHeadBytes);
  std::vector<AppendRecord> records;
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    const RecordOnDisk& text = texts[i];
    const bool here = text.sequence != 0 && (text.sequence - 1) % kRecords == i;
    if (!here || text.own_checksum != text.sum() || text.length > text.end) continue;
    records.push_back({text.sequence, text.end, text.length, text.checksum, text.request});
  }
  std::sort(records.begin(), records.end(),
            [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  return records;
}

std::vector<AppendRecord> trusted_run(const std::vector<AppendRecord>& records) {
  // Before the ring was full once, the first append was flushed first. Later at least half of the
  // ring's records were flushed and lie side by side, while what was not flushed, and what is left
  // of the lap before, is shorter by what lacks between.
  const bool wrapped = !records.empty() && records.back().sequence > AppendJournal::kRecords;
  std::vector<AppendRecord> best;
  for (std::size_t begin = 0; begin < records.size();) {
    std::size_t end = begin + 1;
    while (end < records.size() && records[end].sequence == records[end - 1].sequence + 1 &&
           records[end].start() == records[end - 1].end) {
      ++end;
    }
    const bool first = records[begin].sequence == 1 && records[begin].start() == 0;
    if (wrapped ? end - begin > best.size() : first) {
      best.assign(records.begin() + static_cast<std::ptrdiff_t>(begin),
                  records.begin() + static_cast<std::ptrdiff_t>(end));
    }
    begin = end;
  }
  return best;
}

}  // namespace skein
