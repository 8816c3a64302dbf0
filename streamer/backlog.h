// Accepted files that no node has in line: parked in memory while no node takes them (all are gone,
// or set aside after an outage), or spilled to the local disk (kept_files.h) while the queue is
// nearly full. One thread offers them again: parked ones four times a second, until `patience` is
// over, which a file has once; spilled ones, for which time does not matter, whenever the queue is less than half full.
//
// Spilling begins when the queue is three quarters full and takes files that wait in line, the
// newest first, so that put() waits for the faster of disk and network. What is on the disk is
// bounded by `spill_bytes`.
//
// Thread-safe. The references outlive it; the events are called without locks held.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/error.h"
#include "streamer/buffer_pool.h"
#include "streamer/kept_files.h"
#include "streamer/outgoing_file.h"

namespace skein {

class Backlog {
 public:
  struct Options {
    std::chrono::milliseconds patience{30000};
    std::uint64_t spill_bytes = 0;  // 0 = no spilling
  };
  struct Events {
    std::function<bool(const OutgoingPtr&)> place;  // true: a node has it in line
    std::function<void(const OutgoingPtr&, const Error&)> failed;
    // So many bytes or more of files that wait in line, if there are any; taken out of it.
    std::function<std::vector<OutgoingPtr>(std::uint64_t bytes)> take_waiting;
  };
  struct Counters {
    std::uint64_t spilled_files = 0, spilled_bytes = 0;  // on the disk, not in line
    std::uint64_t spilled_in_all_files = 0;
    std::uint64_t spill_limit_bytes = 0;
  };

  Backlog(BufferPool& buffers, KeptFiles& kept, Options options, Events events);
  ~Backlog();

  // False after end(), and when its patience is over: the file is not taken.
  bool park(const OutgoingPtr& file);
  // Files that an earlier program left on the disk, as OutgoingFile without a body.
  void add_spilled(std::vector<OutgoingPtr> files);
  // More was accepted: looks whether to spill. Cheap when there is nothing to do.
  void queue_grew();

  // Ends the thread and returns all it has, those spilled without a body. Once.
  std::vector<OutgoingPtr> end();

  Counters counters() const;

 private:
  using Lock = std::unique_lock<std::mutex>;

  void run();
  // With the lock held; the last four give it up for disk, network and events.
  bool must_spill() const;
  void spill(Lock& lock);
  void offer_parked(Lock& lock);
  void offer_spilled(Lock& lock);
  bool write_out(const OutgoingPtr& file, Lock& lock);

  BufferPool& buffers_;
  KeptFiles& kept_;
  const Options options_;
  const Events events_;

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::deque<OutgoingPtr> parked_;
  std::deque<OutgoingPtr> spilled_;
  Counters counters_;
  TimePoint next_offer_{};
  TimePoint next_spill_{};
  bool ending_ = false;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace skein
