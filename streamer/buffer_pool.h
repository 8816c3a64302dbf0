// Buffers of frames, used again: memory fresh from the kernel costs a page fault every 4 KiB (0.4
// GB/s in a virtual machine that lends its free memory), memory of the last frame costs nothing.
//
// Bounds the bytes that are out, so it is the streamer's queue limit too; bytes that were given and
// not copied (given_bytes.h) count as those of a buffer do. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "streamer/given_bytes.h"

namespace skein {

class BufferPool {
  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };
  struct Buffer {
    std::unique_ptr<char[], Free> bytes;
    std::size_t size = 0;      // as lent
    std::size_t capacity = 0;
  };

 public:
  explicit BufferPool(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  // A buffer on loan, and given bytes that follow it; both go back when it is destroyed, the given
  // ones first. The pool outlives it.
  class Lent {
   public:
    Lent(Lent&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          buffer_(std::move(other.buffer_)),
          given_(std::move(other.given_)) {}
    Lent& operator=(Lent&&) = delete;
    ~Lent() {
      if (pool_ == nullptr) return;
      given_.owner.reset();
      pool_->give_back(std::move(buffer_), given_.bytes.size());
    }
    std::span<char> buffer() { return {buffer_.bytes.get(), buffer_.size}; }
    std::span<const char> given() const { return given_.bytes; }
    // Buffer and given bytes, in this order; either may be empty.
    std::array<std::span<const char>, 2> pieces() const {
      return {std::span<const char>(buffer_.bytes.get(), buffer_.size), given_.bytes};
    }
    std::size_t size_bytes() const { return buffer_.size + given_.bytes.size(); }

   private:
    friend class BufferPool;
    Lent(BufferPool* pool, Buffer buffer, GivenBytes given)
        : pool_(pool), buffer_(std::move(buffer)), given_(std::move(given)) {}
    BufferPool* pool_;
    Buffer buffer_;
    GivenBytes given_;
  };

  // A buffer of exactly that size, contents unspecified; nullopt if there was no room for it, and for
  // what is given, by the deadline. What is larger than the limit is lent when nothing else is out.
  // Throws std::bad_alloc, with everything as before.
  std::optional<Lent> take(std::size_t size_bytes, Deadline deadline, GivenBytes given = {});

  // The same for work that can wait: nullopt, at once, if more than half of the limit would be out.
  std::optional<Lent> take_spare(std::size_t size_bytes);

  // Waits until everything has come back. False: something is out at the deadline.
  bool wait_all_back(Deadline deadline);

  std::uint64_t limit_bytes() const { return limit_bytes_; }
  std::uint64_t out_bytes() const { return out_bytes_; }

 private:
  // Buffers looked at for one that fits: in a stream of equal frames the first one does.
  static constexpr std::size_t kLookAt = 16;

  static Buffer make(std::size_t size_bytes);
  // With the lock held; gives it up to make memory.
  Lent lend(std::size_t size_bytes, GivenBytes given, std::unique_lock<std::mutex>& lock);
  void give_back(Buffer buffer, std::size_t given_bytes);
  bool has_room(std::size_t size_bytes, std::uint64_t limit_bytes) const;

  const std::uint64_t limit_bytes_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable returned_;
  std::atomic<std::uint64_t> out_bytes_ = 0;  // read without it
  std::uint64_t out_count_ = 0;
  std::vector<Buffer> free_;  // last returned last: its memory is the warmest
  std::uint64_t free_bytes_ = 0;         // capacity of free_; with out_bytes_ within the limit
};

}  // namespace skein
