// One sequential reader's file, fetched ahead of it by a stream in a thread of its own.
//
// The kernel reads ahead as well, with several requests at a time that arrive in any order, so the
// window also keeps a stretch behind the farthest byte that was asked for:
//
//      dropped | kept, kBehindBytes | asked for so far | fetched ahead, kAheadBytes | not yet
//
// A request outside the window is not served here; the caller reads it directly. A stream that
// failed, or whose reader paused for kIdle, ends; the caller starts it again when it is read on.
//
// read() may be called from many threads; start() and the destructor from one at a time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "client/node_client.h"
#include "core/clock.h"
#include "core/error.h"

namespace skein {

// A stretch of bytes in shared memory, as a reply is made of them.
struct Slice {
  std::shared_ptr<const char[]> memory;
  const char* begin = nullptr;
  std::size_t size = 0;
};
using Slices = std::vector<Slice>;
std::size_t total_size(const Slices& slices);

// Tells a reader that goes through a file from one that jumps about. One thread at a time.
class SequenceDetector {
 public:
  // Requests of one reader overtake each other by at most the kernel's own read-ahead.
  static constexpr std::uint64_t kToleranceBytes = 4u << 20;

  // True from the second request on that continues where the ones before it ended.
  bool note(std::uint64_t offset, std::size_t size);

 private:
  std::uint64_t end_ = 0;
  int in_sequence_ = 0;
};

// Memory for what is fetched, kept for the next stretch: new memory costs a page fault in 4 KiB.
// Thread-safe.
class ChunkMemory {
 public:
  static constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
  static constexpr std::size_t kMostSpare = 16;

  // `self` stays until the last chunk is given back.
  static std::shared_ptr<char[]> chunk(const std::shared_ptr<ChunkMemory>& self);

 private:
  std::mutex mutex_;  // guards spare_
  std::vector<std::unique_ptr<char[]>> spare_;
};

class ReadAhead final : private NodeClient::Receiver {
 public:
  static constexpr std::size_t kChunkBytes = ChunkMemory::kChunkBytes;
  // So much is received at a time.
  static constexpr std::size_t kPieceBytes = 256 * 1024;
  static constexpr std::uint64_t kAheadBytes = 8u << 20;
  // A stream that has waited goes on when there is so much room: fewer wake-ups.
  static constexpr std::uint64_t kRoomBytes = 2u << 20;
  static constexpr std::uint64_t kBehindBytes = 4u << 20;
  static constexpr std::chrono::seconds kIdle{10};

  // Gives the file's bytes from `offset` on to `to` until it has no more room or the file ends.
  using Fetch = std::function<Result<void>(std::uint64_t offset, NodeClient::Receiver& to)>;

  ReadAhead(std::shared_ptr<ChunkMemory> memory, Fetch fetch);
  ~ReadAhead();

  // Begins at `offset`; an earlier stream is ended first (waits for its peer at most as long as
  // `fetch` may wait).
  void start(std::uint64_t offset);
  bool running() const;

  // nullopt: not in the window, or the stream ended before it. Fewer bytes than `size` only at the
  // end of the file. Errors: timed_out.
  Result<std::optional<Slices>> read(std::uint64_t offset, std::size_t size, Deadline deadline);

 private:
  struct Chunk {
    std::shared_ptr<char[]> memory;
    std::uint64_t offset = 0;  // in the file
    std::size_t filled = 0;
  };

  void stop();
  void run(std::uint64_t offset);
  std::span<char> room() override;
  void received(std::size_t size) override;
  void advance(std::uint64_t asked_end);
  Slices cut(std::uint64_t offset, std::uint64_t end) const;

  const std::shared_ptr<ChunkMemory> memory_;
  const Fetch fetch_;

  mutable std::mutex mutex_;  // guards everything below but thread_
  std::condition_variable more_;   // bytes arrived, or the stream ended
  std::condition_variable space_;  // the reader went on, or the stream is to stop
  std::deque<Chunk> chunks_;
  std::uint64_t fetched_end_ = 0;
  std::uint64_t asked_end_ = 0;
  std::uint64_t awaited_end_ = 0;  // the first end that a reader waits for; 0: none does
  bool full_ = false;  // the stream waits for room
  bool running_ = false;
  bool at_end_of_file_ = false;
  bool stopping_ = false;

  std::jthread thread_;
};

}  // namespace skein
