#include "streamer/buffer_pool.h"

namespace skein {

bool BufferPool::has_room(std::size_t size_bytes) const {
  return out_bytes_ == 0 || out_bytes_ + size_bytes <= limit_bytes_;
}

std::optional<BufferPool::Lent> BufferPool::take(std::size_t size_bytes, Deadline deadline) {
  std::vector<char> buffer;
  {
    std::unique_lock lock(mutex_);
    const auto room = [&] { return has_room(size_bytes); };
    if (!returned_.wait_until(lock, deadline.when(), room)) return std::nullopt;
    out_bytes_ += size_bytes;
    if (!free_.empty()) {
      buffer = std::move(free_.back());
      free_.pop_back();
      free_bytes_ -= buffer.capacity();
    }
  }
  buffer.resize(size_bytes);
  return Lent(this, std::move(buffer));
}

void BufferPool::give_back(std::vector<char> buffer) {
  {
    const std::lock_guard lock(mutex_);
    out_bytes_ -= buffer.size();
    if (out_bytes_ + free_bytes_ + buffer.capacity() <= limit_bytes_) {
      free_bytes_ += buffer.capacity();
      free_.push_back(std::move(buffer));
    }
  }
  returned_.notify_all();
}

}  // namespace skein
