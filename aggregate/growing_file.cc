#include "aggregate/growing_file.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "core/checksum.h"

namespace skein {
namespace {

constexpr std::size_t kBlockBytes = 1 << 20;

Result<void> write_at(int fd, std::span<const char> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return errno_error(n == 0 || errno == EDQUOT ? ENOSPC : errno, "append");
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

// Whole blocks of a stretch of a file, in order. Errors: operation_canceled (it is shorter).
using Take = std::function<Result<void>(std::span<const char>)>;
Result<void> for_each_block(const FileStretch& range, const Take& take) {
  std::vector<char> block(std::min<std::uint64_t>(kBlockBytes, range.size_bytes));
  for (std::uint64_t done = 0; done < range.size_bytes;) {
    const std::size_t want = std::min<std::uint64_t>(block.size(), range.size_bytes - done);
    const ssize_t n =
        ::pread(range.fd, block.data(), want, static_cast<off_t>(range.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error{std::errc::operation_canceled, "what is to be appended is cut short"};
    if (auto taken = take(std::span(block).first(static_cast<std::size_t>(n))); !taken) {
      return taken;
    }
    done += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<std::uint64_t> sum_of(const FileStretch& range) {
  Checksum sum;
  auto read = for_each_block(range, [&](std::span<const char> block) {
    sum.add(block);
    return Result<void>();
  });
  if (!read) return read.error();
  return sum.value();
}

Result<std::uint64_t> sum_of(const AppendBytes& body) {
  if (const auto* memory = std::get_if<std::span<const char>>(&body)) {
    return checksum_of(*memory);
  }
  return sum_of(std::get<FileStretch>(body));
}

// How many of the run's records are really in the file.
std::size_t count_whole(int file, std::uint64_t size_bytes, const std::vector<AppendRecord>& run,
                        GrowingFile::Check check) {
  const std::uint64_t top = run.empty() ? 0 : run.back().end;
  const std::uint64_t flushed = top - std::min(top, GrowingFile::kMostBytes);
  for (std::size_t i = 0; i < run.size(); ++i) {
    if (run[i].end > size_bytes) return i;
    if (run[i].end <= flushed || check == GrowingFile::Check::kLength) continue;
    const auto sum = sum_of(FileStretch{file, run[i].start(), run[i].length});
    if (!sum || *sum != run[i].checksum) return i;
  }
  return run.size();
}

}  // namespace

std::uint64_t size_of(const AppendBytes& body) {
  if (const auto* memory = std::get_if<std::span<const char>>(&body)) return memory->size();
  return std::get<FileStretch>(body).size_bytes;
}

GrowingFile::GrowingFile(Fd file, AppendJournal journal, Flush flush)
    : file_(std::move(file)), flush_(std::move(flush)), journal_(std::move(journal)) {}

Result<std::unique_ptr<GrowingFile>> GrowingFile::resume(Fd file, AppendJournal journal,
                                                         Flush flush, Check check) {
  struct stat st {};
  if (::fstat(file.get(), &st) != 0) return errno_error(errno, journal.path().text());
  const auto size_bytes = static_cast<std::uint64_t>(st.st_size);
  const auto records = journal.read();
  if (!records) return records.error();
  const std::vector<AppendRecord> run = trusted_run(*records);
  const std::size_t whole = count_whole(file.get(), size_bytes, run, check);
  auto resumed = std::make_unique<GrowingFile>(std::move(file), std::move(journal),
                                               std::move(flush));
  GrowingFile& self = *resumed;
  // What was appended before may not be flushed yet, and counts: the first append flushes.
  self.unflushed_ = AppendJournal::kRecords / 2;
  for (std::size_t i = 0; i < whole; ++i) self.remember(run[i]);
  if (whole == 0 && !records->empty()) {
    // The disk lost what it had, or was changed by hand: what is there is kept. Numbers go on above
    // a full ring, where the first append need not be in it.
    self.last_.sequence = records->back().sequence + AppendJournal::kRecords;
    self.last_.end = run.empty() ? size_bytes : std::min(size_bytes, run.front().start());
    spdlog::warn("the journal does not vouch for the file as it is: path={} size_bytes={}",
                 self.path().text(), self.last_.end);
  }
  self.committed_ = self.last_.end;
  for (const AppendRecord& record : *records) {
    const bool accepted =
        whole > 0 && record.sequence >= run[0].sequence && record.sequence <= run[whole - 1].sequence;
    if (accepted) continue;
    if (auto erased = self.journal_.erase(record); !erased) return erased.error();
  }
  if (size_bytes == self.last_.end) return resumed;
  if (::ftruncate(self.file_.get(), static_cast<off_t>(self.last_.end)) != 0) {
    return errno_error(errno, self.path().text());
  }
  spdlog::info("rolled back an append that was cut: path={} size_bytes={} cut_bytes={}",
               self.path().text(), self.last_.end, size_bytes - self.last_.end);
  return resumed;
}

void GrowingFile::remember(const AppendRecord& record) {
  last_ = record;
  if (record.sequence > AppendJournal::kRecords) {
    const auto oldest = by_sequence_.find(record.sequence - AppendJournal::kRecords);
    if (oldest != by_sequence_.end()) {
      requests_.erase(oldest->second);
      by_sequence_.erase(oldest);
    }
  }
  if (record.request == RequestId{}) return;
  requests_[record.request] = record;
  by_sequence_[record.sequence] = record.request;
}

Result<std::optional<GrowingFile::Appended>> GrowingFile::earlier(
    const AppendBytes& body, const RequestId& request) const {
  const auto known = requests_.find(request);
  if (known == requests_.end()) return std::optional<Appended>();
  const AppendRecord& record = known->second;
  const auto sum = sum_of(body);
  if (!sum) return sum.error();
  if (*sum != record.checksum || size_of(body) != record.length) {
    return Error{std::errc::invalid_argument,
                 "this request id stood for other bytes before: every append needs its own"};
  }
  return std::optional(Appended{record.start(), record.length, true});
}

Result<GrowingFile::Appended> GrowingFile::append(const AppendBytes& body,
                                                  const std::optional<RequestId>& request) {
  const std::uint64_t length = size_of(body);
  if (length > kMostBytes) {
    return Error{std::errc::file_too_large,
                 "one append has at most " + std::to_string(kMostBytes) + " bytes"};
  }
  const std::lock_guard lock(mutex_);
  if (request) {
    auto done = earlier(body, *request);
    if (!done) return done.error();
    if (*done) return **done;
  }
  struct stat st {};
  if (ended_ || ::fstat(file_.get(), &st) != 0 || st.st_nlink == 0) {
    return Error{std::errc::no_link, path().text() + " does not grow any more"};
  }
  if (broken_) return Error{std::errc::io_error, path().text() + " could not be written to before"};
  if (auto flushed = keep_flushed(length); !flushed) return flushed.error();
  AppendRecord record{last_.sequence + 1, last_.end + length, length, 0,
                      request.value_or(RequestId{})};
  const auto sum = write(body);
  if (!sum) {
    cut_back();
    return sum.error();
  }
  record.checksum = *sum;
  if (auto entered = journal_.write(record); !entered) {
    cut_back();
    return entered.error();
  }
  remember(record);
  committed_ = record.end;
  ++unflushed_;
  unflushed_bytes_ += length;
  return Appended{record.start(), length, false};
}

Result<std::uint64_t> GrowingFile::write(const AppendBytes& body) {
  if (const auto* memory = std::get_if<std::span<const char>>(&body)) {
    if (auto written = write_at(file_.get(), *memory, last_.end); !written) return written.error();
    return checksum_of(*memory);
  }
  Checksum sum;
  std::uint64_t at = last_.end;
  auto copied = for_each_block(std::get<FileStretch>(body), [&](std::span<const char> block) {
    sum.add(block);
    auto written = write_at(file_.get(), block, at);
    at += block.size();
    return written;
  });
  if (!copied) return copied.error();
  return sum.value();
}

// The journal can tell what reached the disk for so many appends, and bytes, not for more.
Result<void> GrowingFile::keep_flushed(std::uint64_t length) {
  const bool few = unflushed_ < AppendJournal::kRecords / 2 &&
                   unflushed_bytes_ + length <= kMostBytes;
  if (few || !flush_) return {};
  if (auto flushed = flush_(); !flushed) return flushed;
  unflushed_ = 0;
  unflushed_bytes_ = 0;
  return {};
}

void GrowingFile::cut_back() {
  if (::ftruncate(file_.get(), static_cast<off_t>(last_.end)) == 0) return;
  broken_ = true;
  spdlog::error("an append that failed could not be cut off, no more are taken: path={} why={}",
                path().text(), errno_error(errno, "ftruncate").what);
}

void GrowingFile::end_growth() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
}

void GrowingFile::go_on() {
  const std::lock_guard lock(mutex_);
  ended_ = false;
}

bool GrowingFile::untouched() {
  const std::lock_guard lock(mutex_);
  return last_.sequence == 0;
}

bool GrowingFile::end_if_untouched() {
  const std::lock_guard lock(mutex_);
  if (last_.sequence != 0) return false;
  ended_ = true;
  return true;
}

}  // namespace skein
