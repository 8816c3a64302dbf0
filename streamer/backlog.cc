#include "streamer/backlog.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/log.h"

namespace skein {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kOfferEvery{250};
// How often it is looked whether the queue has room for what was spilled.
constexpr std::chrono::milliseconds kRoomEvery{50};
constexpr std::chrono::milliseconds kSpillAgain{1000};
constexpr std::uint64_t kSpillStepBytes = 8 << 20;

Result<void> read_file(const std::filesystem::path& file, std::span<char> into) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + file.string());
  while (!into.empty()) {
    const ssize_t n = ::read(fd.get(), into.data(), into.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read " + file.string());
    if (n == 0) return Error{std::errc::io_error, file.string() + " became shorter"};
    into = into.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

Backlog::Backlog(BufferPool& buffers, KeptFiles& kept, Options options, Events events)
    : buffers_(buffers),
      kept_(kept),
      options_(options),
      events_(std::move(events)),
      counters_{.spill_limit_bytes = options.spill_bytes},
      thread_([this] { run(); }) {}

Backlog::~Backlog() { end(); }

bool Backlog::park(const OutgoingPtr& file) {
  const std::lock_guard lock(mutex_);
  const auto now = SteadyClock::now();
  if (file->parked_since == TimePoint()) file->parked_since = now;
  if (ending_ || now - file->parked_since > options_.patience) return false;
  parked_.push_back(file);
  changed_.notify_one();
  return true;
}

void Backlog::add_spilled(std::vector<OutgoingPtr> files) {
  const std::lock_guard lock(mutex_);
  for (OutgoingPtr& file : files) {
    ++counters_.spilled_files;
    counters_.spilled_bytes += file->size_bytes;
    spilled_.push_back(std::move(file));
  }
  changed_.notify_one();
}

bool Backlog::must_spill() const {
  return options_.spill_bytes > 0 &&
         buffers_.out_bytes() > buffers_.limit_bytes() / 4 * 3 &&
         counters_.spilled_bytes < options_.spill_bytes && SteadyClock::now() >= next_spill_;
}

void Backlog::queue_grew() {
  if (options_.spill_bytes == 0 || buffers_.out_bytes() <= buffers_.limit_bytes() / 4 * 3) return;
  const std::lock_guard lock(mutex_);
  changed_.notify_one();
}

Backlog::Counters Backlog::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

std::vector<OutgoingPtr> Backlog::end() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  const std::lock_guard lock(mutex_);
  std::vector<OutgoingPtr> left(parked_.begin(), parked_.end());
  left.insert(left.end(), spilled_.begin(), spilled_.end());
  parked_.clear();
  spilled_.clear();
  counters_.spilled_files = counters_.spilled_bytes = 0;
  return left;
}

void Backlog::run() {
  Lock lock(mutex_);
  while (!ending_) {
    if (must_spill()) spill(lock);
    if (!parked_.empty() && SteadyClock::now() >= next_offer_) offer_parked(lock);
    if (!spilled_.empty() && SteadyClock::now() >= next_offer_) offer_spilled(lock);
    if (ending_) return;
    // Room in the queue is made by many threads at a high rate: they are not asked to tell.
    if (parked_.empty() && spilled_.empty() && !must_spill()) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, kRoomEvery);
    }
  }
}

// Parked files first: what waits in line is about to go.
void Backlog::spill(Lock& lock) {
  while (must_spill() && !ending_) {
    std::vector<OutgoingPtr> files;
    for (std::uint64_t bytes = 0; bytes < kSpillStepBytes && !parked_.empty(); parked_.pop_back()) {
      bytes += parked_.back()->size_bytes;
      files.push_back(std::move(parked_.back()));
    }
    if (files.empty()) {
      lock.unlock();
      files = events_.take_waiting(kSpillStepBytes);
      lock.lock();
    }
    if (files.empty()) return;
    bool all_written = true;
    for (OutgoingPtr& file : files) {
      if (all_written && write_out(file, lock)) continue;
      parked_.push_back(std::move(file));
      all_written = false;
    }
    lock.unlock();
    files.clear();
    lock.lock();
    // Full, or in trouble: looked at again later.
    if (!all_written) next_spill_ = SteadyClock::now() + kSpillAgain;
  }
}

bool Backlog::write_out(const OutgoingPtr& file, Lock& lock) {
  if (counters_.spilled_bytes + file->size_bytes > options_.spill_bytes) return false;
  // Counted before it is written, so that the bound holds.
  counters_.spilled_bytes += file->size_bytes;
  lock.unlock();
  // What the disk does to it is to be noticed, too.
  if (file->checksum.any()) file->checksum.of(*file->body);
  // One that was spilled before still lies there.
  Result<std::filesystem::path> kept = file->kept_as;
  if (file->kept_as.empty()) kept = kept_.keep(file->path, file->body->pieces());
  // A copy: a connection may still be sending the bytes of the first.
  auto spilled = std::make_shared<OutgoingFile>(*file);
  spilled->body.reset();
  lock.lock();
  if (!kept) {
    log()->warn("could not spill to the local disk: path={} why={}", file->path.text(),
                kept.error().what);
    counters_.spilled_bytes -= file->size_bytes;
    return false;
  }
  spilled->kept_as = std::move(*kept);
  ++counters_.spilled_files;
  ++counters_.spilled_in_all_files;
  spilled_.push_back(std::move(spilled));
  return true;
}

void Backlog::offer_parked(Lock& lock) {
  std::deque<OutgoingPtr> files;
  files.swap(parked_);
  next_offer_ = SteadyClock::now() + kOfferEvery;
  lock.unlock();
  std::vector<OutgoingPtr> left;
  for (OutgoingPtr& file : files) {
    file->forget_outages();
    if (events_.place(file)) continue;
    const auto now = SteadyClock::now();
    if (file->parked_since == TimePoint()) file->parked_since = now;  // it was to be spilled
    if (now - file->parked_since > options_.patience) {
      events_.failed(file, {std::errc::host_unreachable,
                            "no node took " + file->path.text() + ": " + file->last_trouble});
    } else {
      left.push_back(std::move(file));
    }
  }
  files.clear();
  lock.lock();
  parked_.insert(parked_.begin(), left.begin(), left.end());
}

void Backlog::offer_spilled(Lock& lock) {
  while (!spilled_.empty() && !ending_ && !must_spill()) {
    OutgoingPtr file = spilled_.front();
    auto buffer = buffers_.take_spare(file->size_bytes);
    if (!buffer) return;
    spilled_.pop_front();
    --counters_.spilled_files;
    counters_.spilled_bytes -= file->size_bytes;
    lock.unlock();
    const auto read = read_file(file->kept_as, buffer->buffer());
    bool placed = false;
    if (read) {
      auto whole = std::make_shared<OutgoingFile>(*file);
      whole->body = std::make_shared<const BufferPool::Lent>(std::move(*buffer));
      whole->forget_outages();
      placed = events_.place(whole);
    } else {
      events_.failed(file, read.error());
    }
    lock.lock();
    if (placed || !read) continue;
    ++counters_.spilled_files;
    counters_.spilled_bytes += file->size_bytes;
    spilled_.push_front(std::move(file));
    next_offer_ = SteadyClock::now() + kOfferEvery;
    return;
  }
}

}  // namespace skein
