#include "dataserver/verification.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace skein {
namespace {

constexpr std::size_t kBlockBytes = 256 * 1024;

}  // namespace

Verification::Verification(OnTorn on_torn)
    : on_torn_(std::move(on_torn)), thread_([this](std::stop_token stop) { run(stop); }) {}

Verification::~Verification() {
  thread_.request_stop();
  thread_.join();
}

Verification::Verdict Verification::known(const Found& found) const {
  const std::lock_guard lock(mutex_);
  const auto file = files_.find(identity_of(found));
  if (file == files_.end() || file->second == State::kWaiting) return Verdict::kUnknown;
  return file->second == State::kWhole ? Verdict::kWhole : Verdict::kTorn;
}

bool Verification::tell_torn(const Found& found) {
  const Identity identity = identity_of(found);
  const std::lock_guard lock(mutex_);
  const auto file = files_.find(identity);
  if (file != files_.end() && file->second == State::kTold) return false;
  remember(identity, State::kTold);
  return true;
}

// With the lock held.
void Verification::remember(const Identity& identity, State state) {
  files_.erase(identity);
  if (files_.size() < kMostRemembered) files_.emplace(identity, state);
}

void Verification::begin(int fd, const ClusterPath& path, const Found& found,
                         std::uint64_t checksum) {
  const Identity identity = identity_of(found);
  const std::lock_guard lock(mutex_);
  if (jobs_.size() >= kMostWaiting || files_.contains(identity)) return;
  Fd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own) return;
  remember(identity, State::kWaiting);
  jobs_.push_back({identity, std::move(own), path, found, checksum, {}, 0});
  changed_.notify_all();
}

Result<Verification::Verdict> Verification::verdict(int fd, const ClusterPath& path,
                                                    const Found& found, std::uint64_t checksum,
                                                    Deadline deadline) {
  begin(fd, path, found, checksum);
  const Identity identity = identity_of(found);
  std::unique_lock lock(mutex_);
  // One that could not be begun is unknown, too, and one that cannot be read is not there any more.
  if (!files_.contains(identity)) return Verdict::kUnknown;
  changed_.wait_until(lock, deadline.when(), [&] {
    const auto file = files_.find(identity);
    return file == files_.end() || file->second != State::kWaiting;
  });
  const auto file = files_.find(identity);
  if (file == files_.end()) return Error{std::errc::io_error, path.text() + ": cannot be read"};
  if (file->second == State::kWaiting) return Verdict::kUnknown;
  return file->second == State::kWhole ? Verdict::kWhole : Verdict::kTorn;
}

void Verification::run(std::stop_token stop) {
  std::vector<char> block(kBlockBytes);
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !jobs_.empty(); })) {
    if (stop.stop_requested()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    const auto ended = read_slice(job, block);
    const bool torn = ended && *ended && job.sum.value() != job.checksum;
    lock.lock();
    if (ended && !*ended) {
      jobs_.push_back(std::move(job));
      continue;
    }
    files_.erase(job.identity);
    if (ended) remember(job.identity, torn ? State::kTorn : State::kWhole);
    changed_.notify_all();
    if (!torn) continue;
    lock.unlock();
    on_torn_(job.path, job.found);
    lock.lock();
  }
}

Result<bool> Verification::read_slice(Job& job, std::span<char> block) {
  const std::uint64_t until = job.read_bytes + kSliceBytes;
  while (job.read_bytes < until) {
    const ssize_t n = ::pread(job.fd.get(), block.data(), block.size(),
                              static_cast<off_t>(job.read_bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "verify file");
    if (n == 0) return true;
    job.sum.add(block.first(static_cast<std::size_t>(n)));
    job.read_bytes += static_cast<std::uint64_t>(n);
  }
  return false;
}

}  // namespace skein
