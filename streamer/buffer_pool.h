// Buffers of frames, used again: memory fresh from the kernel costs a page fault every 4 KiB (0.4
// GB/s in a virtual machine that lends its free memory), memory of the last frame costs nothing.
//
// Bounds the bytes that are out, so it is the streamer's queue limit too. Thread-safe.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"

namespace skein {

class BufferPool {
 public:
  explicit BufferPool(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // A buffer on loan; it goes back when destroyed. The pool outlives it.
  class Lent {
   public:
    Lent(Lent&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), bytes_(std::move(other.bytes_)) {}
    Lent& operator=(Lent&&) = delete;
    ~Lent() {
      if (pool_ != nullptr) pool_->give_back(std::move(bytes_));
    }
    char* data() { return bytes_.data(); }
    std::size_t size() const { return bytes_.size(); }
    std::span<const char> bytes() const { return bytes_; }
    std::string_view text() const { return {bytes_.data(), bytes_.size()}; }

   private:
    friend class BufferPool;
    Lent(BufferPool* pool, std::vector<char> bytes) : pool_(pool), bytes_(std::move(bytes)) {}
    BufferPool* pool_;
    std::vector<char> bytes_;
  };

  // A buffer of exactly that size, contents unspecified; nullopt if it was not free by the deadline.
  // One that is larger than the limit is lent when nothing else is out.
  std::optional<Lent> take(std::size_t size_bytes, Deadline deadline);

  std::uint64_t limit_bytes() const { return limit_bytes_; }

 private:
  void give_back(std::vector<char> buffer);
  bool has_room(std::size_t size_bytes) const;

  const std::uint64_t limit_bytes_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable returned_;
  std::uint64_t out_bytes_ = 0;
  std::vector<std::vector<char>> free_;  // last returned last: its memory is the warmest
  std::uint64_t free_bytes_ = 0;         // capacity of free_; with out_bytes_ within the limit
};

}  // namespace skein
