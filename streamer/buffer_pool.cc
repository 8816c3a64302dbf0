#include "streamer/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>

namespace skein {
namespace {

constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
// No buffer is larger. The allocators of the sanitizers end the program if they are asked for more.
constexpr std::size_t kMostBytes = std::size_t{1} << 40;

// aligned_alloc(3) wants a multiple of the alignment; what is not touched takes no memory.
std::size_t rounded(std::size_t size_bytes) {
  return (size_bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
}

}  // namespace

bool BufferPool::has_room(std::size_t size_bytes, std::uint64_t limit_bytes) const {
  return out_bytes_ == 0 || (size_bytes <= limit_bytes && out_bytes_ <= limit_bytes - size_bytes);
}

std::optional<BufferPool::Lent> BufferPool::take(std::size_t size_bytes, Deadline deadline,
                                                 GivenBytes given) {
  std::unique_lock lock(mutex_);
  const auto room = [&] { return has_room(size_bytes + given.bytes.size(), limit_bytes_); };
  if (!returned_.wait_until(lock, deadline.when(), room)) return std::nullopt;
  return lend(size_bytes, std::move(given), lock);
}

std::optional<BufferPool::Lent> BufferPool::take_spare(std::size_t size_bytes) {
  std::unique_lock lock(mutex_);
  if (!has_room(size_bytes, limit_bytes_ / 2)) return std::nullopt;
  return lend(size_bytes, {}, lock);
}

bool BufferPool::wait_all_back(Deadline deadline) {
  std::unique_lock lock(mutex_);
  return returned_.wait_until(lock, deadline.when(), [&] { return out_count_ == 0; });
}

BufferPool::Lent BufferPool::lend(std::size_t size_bytes, GivenBytes given,
                                  std::unique_lock<std::mutex>& lock) {
  out_bytes_ += size_bytes + given.bytes.size();
  ++out_count_;
  if (size_bytes == 0) return Lent(this, {}, std::move(given));
  // The last returned that is large enough and not much too large.
  for (std::size_t i = free_.size(); i > free_.size() - std::min(free_.size(), kLookAt); --i) {
    Buffer& candidate = free_[i - 1];
    if (candidate.capacity < size_bytes || candidate.capacity / 2 > size_bytes) continue;
    Buffer found = std::move(candidate);
    candidate = std::move(free_.back());
    free_.pop_back();
    free_bytes_ -= found.capacity;
    found.size = size_bytes;
    return Lent(this, std::move(found), std::move(given));
  }
  // Frames of another size than before: what is free makes room for them.
  while (!free_.empty() && out_bytes_ + free_bytes_ > limit_bytes_) {
    free_bytes_ -= free_.back().capacity;
    free_.pop_back();
  }
  lock.unlock();
  // Gives its bytes back if there is no memory.
  Lent lent(this, {nullptr, size_bytes, 0}, std::move(given));
  lent.buffer_ = make(size_bytes);
  return lent;
}

// A frame of a camera in huge pages, so that its first use costs one page fault in 2 MiB. Only whole
// ones: the rest of the last would be memory that nobody uses.
BufferPool::Buffer BufferPool::make(std::size_t size_bytes) {
  if (size_bytes > kMostBytes) throw std::bad_alloc();
  const std::size_t huge_bytes = size_bytes / kHugePageBytes * kHugePageBytes;
  void* const bytes = huge_bytes > 0 ? std::aligned_alloc(kHugePageBytes, rounded(size_bytes))
                                     : std::malloc(std::max<std::size_t>(size_bytes, 1));
  if (bytes == nullptr) throw std::bad_alloc();
  if (huge_bytes > 0) ::madvise(bytes, huge_bytes, MADV_HUGEPAGE);  // a wish
  return {std::unique_ptr<char[], Free>(static_cast<char*>(bytes)), size_bytes, size_bytes};
}

void BufferPool::give_back(Buffer buffer, std::size_t given_bytes) {
  {
    const std::lock_guard lock(mutex_);
    out_bytes_ -= buffer.size + given_bytes;
    --out_count_;
    if (buffer.bytes && out_bytes_ + free_bytes_ + buffer.capacity <= limit_bytes_) {
      free_bytes_ += buffer.capacity;
      free_.push_back(std::move(buffer));
    }
  }
  returned_.notify_all();
}

}  // namespace skein
