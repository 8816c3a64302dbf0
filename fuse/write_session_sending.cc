// The part of a write session that sends a spooled file to its node, while it is written and at the
// flush.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "fuse/spare_thread.h"
#include "fuse/write_session.h"

namespace skein {
namespace {

// Sending ahead saves time; more failures than this and it only costs some.
constexpr int kMostFailures = 3;

}  // namespace

Result<void> WriteSession::stage_remote(const ClusterPath& name) {
  auto range = bytes();
  if (!range) return range.error();
  // Writes of the kernel itself into a node-local file are not told to unsent_.
  const bool whole = lane_ || (!remote_.has_pieces() && range->size_bytes < UnsentBytes::kPieceBytes);
  if (whole) return remote_.stage(name, *range);
  return remote_.stage_rest(name, {fd_, unsent_}, range->size_bytes);
}

void WriteSession::wrote(std::uint64_t begin, std::uint64_t end) {
  changed();  // once more: a flush in between has not seen them
  if (lane_) return;
  unsent_.written(begin, end);
  if (unsent_.has_piece()) start_sender();
}

void WriteSession::rewrote(std::uint64_t begin) {
  const auto now = status();
  if (now) wrote(begin, std::max(begin, static_cast<std::uint64_t>(now->st_size)));
}

void WriteSession::truncated(std::uint64_t size_bytes) {
  changed();
  failure_ = 0;
  if (!lane_) unsent_.truncated(size_bytes);
}

void WriteSession::start_sender() {
  const std::lock_guard lock(mutex_);
  if (over_ || sender_over_) return;
  if (sender_.joinable()) {
    turn_free_.notify_all();
    return;
  }
  if (parts_.senders.fetch_add(1) < kMostSenders) {
    sender_ = spare_thread([this](const std::stop_token& stop) { send_ahead(stop); });
    sender_over_ = !sender_.joinable();
  }
  if (!sender_.joinable()) --parts_.senders;
}

void WriteSession::send_ahead(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto has_work = [&] {
    return over_ || (!turn_taken_ && turns_wanted_ == 0 && unsent_.has_piece());
  };
  int failures = 0;
  while (turn_free_.wait(lock, stop, has_work) && !over_) {
    turn_taken_ = true;
    const ClusterPath name = path_;
    lock.unlock();
    const auto sent = remote_.stage_ahead(name, {fd_, unsent_});
    lock.lock();
    turn_taken_ = false;
    turn_free_.notify_all();
    if (sent) continue;
    // The close sends what is left, and says what is wrong.
    spdlog::debug("sending ahead failed: path=/{} why={}", name.text(), sent.error().what);
    if (++failures == kMostFailures) break;
  }
  sender_over_ = true;
  --parts_.senders;
}

}  // namespace skein
