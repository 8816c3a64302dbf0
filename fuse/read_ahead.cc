#include "fuse/read_ahead.h"

#include <algorithm>

#include "fuse/spare_thread.h"

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

std::shared_ptr<char[]> ChunkMemory::chunk(const std::shared_ptr<ChunkMemory>& self) {
  std::unique_ptr<char[]> memory;
  {
    const std::lock_guard lock(self->mutex_);
    if (!self->spare_.empty()) {
      memory = std::move(self->spare_.back());
      self->spare_.pop_back();
    }
  }
  if (!memory) memory = std::make_unique_for_overwrite<char[]>(kChunkBytes);
  return {memory.release(), [self](char* given_back) {
            std::unique_ptr<char[]> spare(given_back);
            const std::lock_guard lock(self->mutex_);
            if (self->spare_.size() < kMostSpare) self->spare_.push_back(std::move(spare));
          }};
}

ReadAhead::ReadAhead(std::shared_ptr<ChunkMemory> memory, Fetch fetch)
    : memory_(std::move(memory)), fetch_(std::move(fetch)) {}

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
  awaited_end_ = 0;
  stopping_ = at_end_of_file_ = false;
  thread_ = spare_thread([this, offset] { run(offset); });
  running_ = thread_.joinable();
}

bool ReadAhead::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

void ReadAhead::run(std::uint64_t offset) {
  const auto fetched = fetch_(offset, *this);
  const std::lock_guard lock(mutex_);
  running_ = false;
  at_end_of_file_ = fetched.ok() && !stopping_;
  more_.notify_all();
}

std::span<char> ReadAhead::room() {
  std::unique_lock lock(mutex_);
  if (!stopping_ && fetched_end_ >= asked_end_ + kAheadBytes) {
    full_ = true;
    const bool wanted = space_.wait_for(lock, kIdle, [&] { return stopping_ || !full_; });
    full_ = false;
    if (!wanted) stopping_ = true;
  }
  if (stopping_) return {};
  if (chunks_.empty() || chunks_.back().filled == kChunkBytes) {
    chunks_.push_back({ChunkMemory::chunk(memory_), fetched_end_, 0});
  }
  // No reader looks beyond `filled`, and only this thread appends.
  Chunk& last = chunks_.back();
  return {last.memory.get() + last.filled, std::min(kChunkBytes - last.filled, kPieceBytes)};
}

void ReadAhead::received(std::size_t size) {
  const std::lock_guard lock(mutex_);
  chunks_.back().filled += size;
  fetched_end_ += size;
  if (awaited_end_ == 0 || fetched_end_ < awaited_end_) return;
  awaited_end_ = 0;
  more_.notify_all();
}

void ReadAhead::advance(std::uint64_t asked_end) {
  if (asked_end <= asked_end_) return;
  asked_end_ = asked_end;
  // The last chunk stays: the stream may be filling it.
  while (chunks_.size() > 1 &&
         chunks_.front().offset + kChunkBytes + kBehindBytes < asked_end_) {
    chunks_.pop_front();
  }
  if (!full_ || fetched_end_ + kRoomBytes > asked_end_ + kAheadBytes) return;
  full_ = false;
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
  const bool in_time = more_.wait_until(lock, deadline.when(), [&] {
    if (fetched_end_ >= end || !running_ || stopping_) return true;
    awaited_end_ = awaited_end_ == 0 ? end : std::min(awaited_end_, end);
    return false;
  });
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
