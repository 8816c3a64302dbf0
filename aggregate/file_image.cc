#include "aggregate/file_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace skein {

Result<FileImage> FileImage::open(Fd file, bool sync) {
  struct stat found {};
  if (::fstat(file.get(), &found) != 0) return errno_error(errno, "look at a growing file");
  return FileImage(std::move(file), static_cast<std::uint64_t>(found.st_size), sync);
}

Result<void> FileImage::read_file(std::uint64_t offset, std::span<char> into) const {
  while (!into.empty()) {
    const ssize_t n = ::pread(file_.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read a growing file");
    if (n == 0) break;
    into = into.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  std::fill(into.begin(), into.end(), '\0');
  return {};
}

Result<void> FileImage::read(std::uint64_t offset, std::span<char> into) const {
  if (into.empty()) return {};
  const std::uint64_t end = offset + into.size();
  auto page = pages_.lower_bound(offset / kPageBytes);
  // Pages in memory lie over what the file has.
  if (page == pages_.end() || page->first * kPageBytes >= end) return read_file(offset, into);
  if (page->first * kPageBytes > offset || end > (page->first + 1) * kPageBytes) {
    if (auto got = read_file(offset, into); !got) return got;
  }
  for (; page != pages_.end() && page->first * kPageBytes < end; ++page) {
    const std::uint64_t first = page->first * kPageBytes;
    const std::uint64_t from = std::max(first, offset);
    const std::uint64_t to = std::min(first + kPageBytes, end);
    std::memcpy(into.data() + (from - offset), page->second->data() + (from - first), to - from);
  }
  return {};
}

Result<void> FileImage::write(std::uint64_t offset, std::span<const char> bytes) {
  size_ = std::max(size_, offset + bytes.size());
  while (!bytes.empty()) {
    const std::uint64_t number = offset / kPageBytes;
    const std::size_t begin = offset % kPageBytes;
    const std::size_t length = std::min(kPageBytes - begin, bytes.size());
    auto& page = pages_[number];
    if (!page) {
      page = std::make_unique<Page>();
      if (length < kPageBytes) {
        if (auto got = read_file(number * kPageBytes, *page); !got) {
          pages_.erase(number);
          return got;
        }
      }
    }
    std::memcpy(page->data() + begin, bytes.data(), length);
    bytes = bytes.subspan(length);
    offset += length;
  }
  return {};
}

void FileImage::drop() {
  pages_.clear();
  size_ = committed_size_;
}

Result<void> FileImage::commit() {
  if (failed_) return Error{std::errc::io_error, "an earlier change could not be made"};
  if (pages_.empty() && size_ == committed_size_) return {};
  // Room first, so that what is recorded can be made.
  if (size_ > committed_size_) {
    const int failure = ::posix_fallocate(file_.get(), static_cast<off_t>(committed_size_),
                                          static_cast<off_t>(size_ - committed_size_));
    if (failure != 0) {
      [[maybe_unused]] const int undone =
          ::ftruncate(file_.get(), static_cast<off_t>(committed_size_));
      return errno_error(failure, "grow a file");
    }
  }
  std::vector<RedoRun> runs;
  std::string bytes;
  bytes.reserve(dirty_bytes());
  for (const auto& [number, page] : pages_) {
    const std::uint64_t first = number * kPageBytes;
    if (first >= size_) break;
    const std::size_t length = std::min<std::uint64_t>(kPageBytes, size_ - first);
    const char* at = bytes.data() + bytes.size();
    bytes.append(page->data(), length);
    if (!runs.empty() && runs.back().offset + runs.back().bytes.size() == first) {
      runs.back().bytes = {runs.back().bytes.data(), runs.back().bytes.size() + length};
    } else {
      runs.push_back({first, {at, length}});
    }
  }
  if (journal_) {
    if (auto recorded = journal_->append(runs, size_); !recorded) return recorded;
  }
  const auto made = apply_runs(file_.get(), runs, size_);
  failed_ = !made;
  if (!made) return made;
  pages_.clear();
  committed_size_ = size_;
  const auto kept = checkpoint();
  failed_ = !kept;
  return kept;
}

// Without flushes the kernel keeps what was written whatever becomes of this process, so the record
// has served its turn at once.
Result<void> FileImage::checkpoint() {
  if (!journal_ || (sync_ && journal_->size_bytes() < kMaxJournalBytes)) return {};
  if (sync_ && ::fdatasync(file_.get()) != 0) return errno_error(errno, "sync a growing file");
  return journal_->empty();
}

Result<void> FileImage::close_journal() {
  if (!journal_ || failed_) return {};
  if (sync_ && ::fdatasync(file_.get()) != 0) return errno_error(errno, "sync a growing file");
  auto removed = journal_->remove();
  journal_.reset();
  return removed;
}

}  // namespace skein
