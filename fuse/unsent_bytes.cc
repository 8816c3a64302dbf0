#include "fuse/unsent_bytes.h"

#include <algorithm>
#include <iterator>

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
  if (size >= sent_end_) return;
  add(size, sent_end_);
  may_go_on_ = false;
}

void UnsentBytes::start_again() {
  const std::lock_guard lock(mutex_);
  ranges_.clear();
  in_order_ = sent_end_ = 0;
  may_go_on_ = true;
}

// The range that holds such a piece. Precondition: the lock is held.
UnsentBytes::Ranges::const_iterator UnsentBytes::piece_in_order() const {
  const auto next = ranges_.upper_bound(in_order_);
  if (!may_go_on_ || next == ranges_.begin()) return ranges_.end();
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
  std::vector<ByteRange> pieces;
  for (const auto& [begin, range_end] : ranges_) {
    const std::uint64_t end = std::min(range_end, size);
    for (std::uint64_t at = begin; at < end; at += kPieceBytes) {
      pieces.push_back({at, std::min(end, at + kPieceBytes)});
    }
  }
  ranges_.clear();
  in_order_ = sent_end_ = size;
  may_go_on_ = true;
  return pieces;
}

}  // namespace skein
