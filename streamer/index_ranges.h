// A set of frame numbers as disjoint ranges: a recording of millions of frames without a gap is one
// entry. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace skein {

class IndexRanges {
 public:
  struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;  // included
    bool operator==(const Range&) const = default;
  };

  // False if it was there already.
  bool insert(std::uint64_t index);
  // False if it was not there.
  bool erase(std::uint64_t index);
  bool contains(std::uint64_t index) const;

  std::uint64_t count() const { return count_; }
  // One more than the highest; 0 if empty.
  std::uint64_t end() const { return ranges_.empty() ? 0 : ranges_.rbegin()->second + 1; }
  // The numbers below `end` that are not in the set.
  std::vector<Range> missing_below(std::uint64_t end) const;

 private:
  using Map = std::map<std::uint64_t, std::uint64_t>;  // first -> last
  Map::const_iterator range_of(std::uint64_t index) const;

  Map ranges_;
  std::uint64_t count_ = 0;
};

// "17, 20-25", at most `most` ranges; what is left out is counted: "1, 3, 5 and 97 more".
std::string text_of(const std::vector<IndexRanges::Range>& ranges, std::size_t most);
std::uint64_t count_of(const std::vector<IndexRanges::Range>& ranges);

}  // namespace skein
