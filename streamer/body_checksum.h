// The checksum that goes with a file (docs/wire.md, "Checksums"): none, known, or taken from its
// bytes when it is first asked for. Bytes that are given and not copied are read from memory for
// their checksum; taken just before they are sent, both find them in the processor's cache.
//
// Thread-safe: two that ask at once take the same checksum of the same bytes.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>

#include "streamer/buffer_pool.h"

namespace skein {

class BodyChecksum {
 public:
  BodyChecksum() = default;  // the file goes without
  explicit BodyChecksum(std::uint64_t value) : value_(value), state_(State::kKnown) {}
  static BodyChecksum when_asked() {
    BodyChecksum later;
    later.state_ = State::kAsk;
    return later;
  }
  BodyChecksum(const BodyChecksum& other) { *this = other; }
  BodyChecksum& operator=(const BodyChecksum& other) {
    const State state = other.state_;
    value_ = other.value_.load();
    state_ = state;
    return *this;
  }

  bool any() const { return state_ != State::kNone; }
  // Precondition: any(). `body` is that of the file.
  std::uint64_t of(const BufferPool::Lent& body);

 private:
  enum class State : std::uint8_t { kNone, kAsk, kKnown };
  std::atomic<std::uint64_t> value_ = 0;
  std::atomic<State> state_ = State::kNone;  // set after the value
};

}  // namespace skein
