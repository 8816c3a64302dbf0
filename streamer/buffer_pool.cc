#include "streamer/buffer_pool.h"

#include <algorithm>

namespace skein {

bool BufferPool::has_room(std::size_t size_bytes) const {
  return out_bytes_ == 0 || out_bytes_ + size_bytes <= limit_bytes_;
}

std::optional<BufferPool::Lent> BufferPool::take(std::size_t size_bytes, Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto room = [&] { return has_room(size_bytes); };
  if (!returned_.wait_until(lock, deadline.when(), room)) return std::nullopt;
  return lend(size_bytes, lock);
}

std::optional<BufferPool::Lent> BufferPool::take_spare(std::size_t size_bytes) {
  std::unique_lock lock(mutex_);
  if (out_bytes_ > 0 && out_bytes_ + size_bytes > limit_bytes_ / 2) return std::nullopt;
  return lend(size_bytes, lock);
}

BufferPool::Lent BufferPool::lend(std::size_t size_bytes, std::unique_lock<std::mutex>& lock) {
  out_bytes_ += size_bytes;
  // The last returned that is large enough and not much too large.
  for (std::size_t i = free_.size(); i > free_.size() - std::min(free_.size(), kLookAt); --i) {
    Buffer& candidate = free_[i - 1];
    if (candidate.capacity < size_bytes || candidate.capacity / 2 > size_bytes) continue;
    Buffer found = std::move(candidate);
    candidate = std::move(free_.back());
    free_.pop_back();
    free_bytes_ -= found.capacity;
    found.size = size_bytes;
    return Lent(this, std::move(found));
  }
  // Frames of another size than before: what is free makes room for them.
  while (!free_.empty() && out_bytes_ + free_bytes_ > limit_bytes_) {
    free_bytes_ -= free_.back().capacity;
    free_.pop_back();
  }
  lock.unlock();
  Buffer made{std::make_unique_for_overwrite<char[]>(size_bytes), size_bytes, size_bytes};
  return Lent(this, std::move(made));
}

void BufferPool::give_back(Buffer buffer) {
  {
    const std::lock_guard lock(mutex_);
    out_bytes_ -= buffer.size;
    if (out_bytes_ + free_bytes_ + buffer.capacity <= limit_bytes_) {
      free_bytes_ += buffer.capacity;
      free_.push_back(std::move(buffer));
    }
  }
  returned_.notify_all();
}

}  // namespace skein
