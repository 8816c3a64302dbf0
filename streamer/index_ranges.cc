#include "streamer/index_ranges.h"

#include <algorithm>
#include <iterator>

namespace skein {

IndexRanges::Map::const_iterator IndexRanges::range_of(std::uint64_t index) const {
  auto after = ranges_.upper_bound(index);
  if (after == ranges_.begin()) return ranges_.end();
  const auto before = std::prev(after);
  return before->second >= index ? before : ranges_.end();
}

bool IndexRanges::contains(std::uint64_t index) const { return range_of(index) != ranges_.end(); }

bool IndexRanges::insert(std::uint64_t index) {
  if (contains(index)) return false;
  ++count_;
  std::uint64_t first = index;
  std::uint64_t last = index;
  const auto after = ranges_.upper_bound(index);
  if (after != ranges_.begin()) {
    const auto before = std::prev(after);
    if (before->second + 1 == index) first = before->first;
  }
  if (after != ranges_.end() && after->first == index + 1) {
    last = after->second;
    ranges_.erase(after);
  }
  ranges_[first] = last;
  return true;
}

bool IndexRanges::erase(std::uint64_t index) {
  const auto found = range_of(index);
  if (found == ranges_.end()) return false;
  --count_;
  const auto [first, last] = *found;
  ranges_.erase(found);
  if (first < index) ranges_[first] = index - 1;
  if (index < last) ranges_[index + 1] = last;
  return true;
}

std::vector<IndexRanges::Range> IndexRanges::missing_below(std::uint64_t end) const {
  std::vector<Range> missing;
  std::uint64_t next = 0;
  for (const auto& [first, last] : ranges_) {
    if (first >= end) break;
    if (first > next) missing.push_back({next, first - 1});
    next = last + 1;
  }
  if (next < end) missing.push_back({next, end - 1});
  return missing;
}

std::uint64_t count_of(const std::vector<IndexRanges::Range>& ranges) {
  std::uint64_t count = 0;
  for (const auto& range : ranges) count += range.last - range.first + 1;
  return count;
}

std::string text_of(const std::vector<IndexRanges::Range>& ranges, std::size_t most) {
  std::string text;
  const std::size_t shown = std::min(most, ranges.size());
  for (std::size_t i = 0; i < shown; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(ranges[i].first);
    if (ranges[i].last > ranges[i].first) text += "-" + std::to_string(ranges[i].last);
  }
  if (shown < ranges.size()) {
    const std::vector<IndexRanges::Range> rest(ranges.begin() + static_cast<std::ptrdiff_t>(shown),
                                               ranges.end());
    text += " and " + std::to_string(count_of(rest)) + " more";
  }
  return text;
}

}  // namespace skein
