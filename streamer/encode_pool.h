// Turns frames into files on threads of its own, off the camera's thread. Memory is bounded: frames
// that wait or are being coded take at most `queue_bytes`, each thread a frame and its file beside.
// Thread-safe. Frames come out in about the order they went in.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "streamer/buffer_pool.h"
#include "streamer/frame_view.h"
#include "streamer/pzf.h"

namespace skein {

class EncodePool {
 public:
  struct Options {
    FrameCoding coding;
    unsigned threads = 1;
    std::uint64_t queue_bytes = 0;
    // Gets each file from one of the threads, which goes on when it returns; the bytes live as long.
    std::function<void(const PzfHeader&, std::span<const std::uint8_t> file)> on_file;
  };

  // Precondition: check_coding() has passed for the headers to come.
  explicit EncodePool(Options options);
  // Codes what it was given, then ends.
  ~EncodePool();

  // Copies the frame, whose sizes and type are those of `header`. Errors: no_buffer_space (the queue
  // was full until `deadline`).
  Result<void> push(const PzfHeader& header, const FrameView& frame, Deadline deadline);
  // The same without a copy, for pixels that lie densely in the header's order. They are let go of
  // (given_bytes.h) as soon as the frame is coded.
  Result<void> push_given(const PzfHeader& header, GivenBytes pixels, Deadline deadline);

  // False if on_file has not returned for all frames by the deadline.
  bool wait_idle(Deadline deadline);

  struct Load {
    std::uint64_t frames = 0;  // waiting or being coded
    std::uint64_t bytes = 0;
  };
  Load load() const;

 private:
  struct Job {
    PzfHeader header;
    BufferPool::Lent pixels;
  };
  Error full() const;
  void add(const PzfHeader& header, BufferPool::Lent pixels);
  void run(const std::stop_token& stop);

  const Options options_;
  BufferPool buffers_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable_any changed_;
  std::deque<Job> waiting_;
  Load load_;

  std::vector<std::jthread> threads_;  // last: they use all of the above
};

}  // namespace skein
