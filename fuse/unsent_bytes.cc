#include "fuse/unsent_bytes.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace skein {

// Precondition: the lock is held.
void UnsentBytes::add(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  // What continues behind a small gap is in order, too.
  if (begin > in_order_ && begin - in_order_ <= kJoinBytes) begin = in_order_;
  const bool many = ranges_.size() >= kMostRanges;
  auto next = ranges_.upper_bound(begin);
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (many || before->second + kJoinBytes >= begin) next = before;
  }
  bool joins_next = many;
  while (next != ranges_.end() && (joins_next || next->first <= end + kJoinBytes)) {
    begin = std::min(begin, next->first);
    end = std::max(end, next->second);
    next = ranges_.erase(next);
    joins_next = false;
  }
  ranges_[begin] = end;
}

void UnsentBytes::written(std::uint64_t begin, std::uint64_t end) {
  const std::lock_guard lock(mutex_);
  add(begin, end);
}

void UnsentBytes::truncated(std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  const auto behind = ranges_.lower_bound(size);
  if (behind != ranges_.begin()) {
    const auto last = std::prev(behind);
    last->second = std::min(last->second, size);
  }
  ranges_.erase(behind, ranges_.end());
  if (size < sent_end_) cut_at_ = std::min(size, cut_at_.value_or(size));
}

void UnsentBytes::start_again() {
  const std::lock_guard lock(mutex_);
  ranges_.clear();
  in_order_ = sent_end_ = 0;
  cut_at_.reset();
}

// The range that holds such a piece. Precondition: the lock is held.
UnsentBytes::Ranges::const_iterator UnsentBytes::piece_in_order() const {
  const auto next = ranges_.upper_bound(in_order_);
  if (cut_at_ || next == ranges_.begin()) return ranges_.end();
  const auto range = std::prev(next);
  return range->second >= in_order_ + kPieceBytes ? range : ranges_.end();
}

bool UnsentBytes::has_piece() const {
  const std::lock_guard lock(mutex_);
  return piece_in_order() != ranges_.end();
}

std::optional<ByteRange> UnsentBytes::next_in_order() {
  const std::lock_guard lock(mutex_);
  const auto range = piece_in_order();
  if (range == ranges_.end()) return std::nullopt;
  const auto [begin, end] = *range;
  const ByteRange piece{in_order_, in_order_ + kPieceBytes};
  ranges_.erase(range);
  if (begin < piece.begin) ranges_[begin] = piece.begin;
  if (end > piece.end) ranges_[piece.end] = end;
  in_order_ = piece.end;
  sent_end_ = std::max(sent_end_, piece.end);
  return piece;
}

std::vector<ByteRange> UnsentBytes::take_all(std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  if (cut_at_) add(*cut_at_, std::min(sent_end_, size));
  std::vector<ByteRange> pieces;
  Ranges behind;
  for (const auto& [begin, range_end] : ranges_) {
    const std::uint64_t end = std::min(range_end, size);
    for (std::uint64_t at = begin; at < end; at += kPieceBytes) {
      pieces.push_back({at, std::min(end, at + kPieceBytes)});
    }
    if (range_end > size) behind[std::max(begin, size)] = range_end;
  }
  ranges_ = std::move(behind);
  in_order_ = sent_end_ = size;
  cut_at_.reset();
  return pieces;
}

}  // namespace skein
