// Connections to nodes that were left open after a reply, for the next request. They are lent to
// one call at a time. Bounded: beyond the limits the one unused for longest is closed. Those unused
// for long, and those the peer closed or wrote to unasked, are closed at the next call of the pool;
// no thread watches them, and the destructor closes all. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "core/clock.h"
#include "core/http_stream.h"
#include "core/node.h"

namespace skein {

class ConnectionPool {
 public:
  struct Options {
    std::size_t most_per_node = 32;   // about the threads of a busy mount
    std::size_t most_in_total = 256;  // with 32 KiB buffers: 8 MiB
    std::chrono::seconds unused_for{60};
    Clock now = real_clock();
  };
  explicit ConnectionPool(Options options) : options_(std::move(options)) {}

  // The connection used last, still open; null if there is none.
  std::unique_ptr<HttpStream> take(const NodeAddress& address);

  // Precondition: the last reply was read to its end. A stream with unread bytes is closed.
  void keep(const NodeAddress& address, std::unique_ptr<HttpStream> stream);

  std::size_t size() const;

 private:
  struct Kept {
    NodeAddress address;
    std::unique_ptr<HttpStream> stream;
    TimePoint since;
  };
  using Streams = std::vector<std::unique_ptr<HttpStream>>;
  // What is closed is moved out, so that the closing happens without the lock.
  void drop_unused(TimePoint now, Streams& closed);

  const Options options_;

  mutable std::mutex mutex_;  // guards everything below
  std::vector<Kept> kept_;    // longest unused first
};

}  // namespace skein
