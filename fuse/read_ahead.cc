#include "fuse/read_ahead.h"

#include <algorithm>
#include <cstring>

namespace skein {

std::size_t total_size(const Slices& slices) {
  std::size_t total = 0;
  for (const Slice& slice : slices) total += slice.size;
  return total;
}

bool SequenceDetector::note(std::uint64_t offset, std::size_t size) {
  const std::uint64_t low = end_ > kToleranceBytes ? end_ - kToleranceBytes : 0;
  const bool continues = offset >= low && offset <= end_ + kToleranceBytes;
  in_sequence_ = continues ? in_sequence_ + 1 : 0;
  end_ = continues ? std::max(end_, offset + size) : offset + size;
  return in_sequence_ >= 2;
}

ReadAhead::ReadAhead(Fetch fetch) : fetch_(std::move(fetch)) {}

ReadAhead::~ReadAhead() { stop(); }

void ReadAhead::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    space_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void ReadAhead::start(std::uint64_t offset) {
  stop();
  const std::lock_guard lock(mutex_);
  chunks_.clear();
  fetched_end_ = asked_end_ = offset;
  stopping_ = at_end_of_file_ = false;
  running_ = true;
  thread_ = std::jthread([this, offset] { run(offset); });
}

bool ReadAhead::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

void ReadAhead::run(std::uint64_t offset) {
  const auto fetched = fetch_(offset, [this](std::span<const char> piece) { return take(piece); });
  const std::lock_guard lock(mutex_);
  running_ = false;
  at_end_of_file_ = fetched.ok() && !stopping_;
  more_.notify_all();
}

bool ReadAhead::take(std::span<const char> piece) {
  while (!piece.empty()) {
    char* to = nullptr;
    std::size_t room = 0;
    {
      std::unique_lock lock(mutex_);
      const bool wanted = space_.wait_for(
          lock, kIdle, [&] { return stopping_ || fetched_end_ < asked_end_ + kAheadBytes; });
      if (!wanted) stopping_ = true;
      if (stopping_) return false;
      if (chunks_.empty() || chunks_.back().filled == kChunkBytes) {
        chunks_.push_back({std::make_shared_for_overwrite<char[]>(kChunkBytes), fetched_end_, 0});
      }
      to = chunks_.back().memory.get() + chunks_.back().filled;
      room = std::min(kChunkBytes - chunks_.back().filled, piece.size());
    }
    // No reader looks beyond `filled`, and only this thread appends.
    std::memcpy(to, piece.data(), room);
    piece = piece.subspan(room);
    const std::lock_guard lock(mutex_);
    chunks_.back().filled += room;
    fetched_end_ += room;
    more_.notify_all();
  }
  return true;
}

void ReadAhead::advance(std::uint64_t asked_end) {
  if (asked_end <= asked_end_) return;
  asked_end_ = asked_end;
  // The last chunk stays: the stream may be filling it.
  while (chunks_.size() > 1 &&
         chunks_.front().offset + kChunkBytes + kBehindBytes < asked_end_) {
    chunks_.pop_front();
  }
  space_.notify_all();
}

Result<std::optional<Slices>> ReadAhead::read(std::uint64_t offset, std::size_t size,
                                              Deadline deadline) {
  std::unique_lock lock(mutex_);
  const std::uint64_t end = offset + size;
  const bool started = running_ || at_end_of_file_ || !chunks_.empty();
  const std::uint64_t begin = chunks_.empty() ? fetched_end_ : chunks_.front().offset;
  if (!started || offset < begin || end > asked_end_ + kAheadBytes) return std::optional<Slices>();
  advance(end);
  const bool in_time = more_.wait_until(
      lock, deadline.when(), [&] { return fetched_end_ >= end || !running_ || stopping_; });
  if (!in_time) return Error{std::errc::timed_out, "the node stopped sending"};
  const bool whole = fetched_end_ >= end || at_end_of_file_;
  // Another reader may have pushed the window on while this one waited.
  const bool still_there = !chunks_.empty() && chunks_.front().offset <= offset;
  if (!whole || (!still_there && offset < fetched_end_)) return std::optional<Slices>();
  return std::optional(cut(offset, std::min(end, fetched_end_)));
}

Slices ReadAhead::cut(std::uint64_t offset, std::uint64_t end) const {
  Slices slices;
  for (const Chunk& chunk : chunks_) {
    const std::uint64_t from = std::max(offset, chunk.offset);
    const std::uint64_t to = std::min<std::uint64_t>(end, chunk.offset + chunk.filled);
    if (from >= to) continue;
    slices.push_back({chunk.memory, chunk.memory.get() + (from - chunk.offset), to - from});
  }
  return slices;
}

}  // namespace skein
