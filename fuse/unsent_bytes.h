// What of a file under writing its node has not yet: ranges of bytes that were written and not sent
// since. A hole that nobody wrote is in no range.
//
// What was written in order can be sent while the writer goes on (next_in_order()); what is written
// behind that again, as writers do with their headers, waits for the end.
//
// Bounded: ranges that lie close together, or all of the last ones when there are many, are one;
// sending a byte too much does no harm. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace skein {

struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // not included
  bool operator==(const ByteRange&) const = default;
};

class UnsentBytes {
 public:
  static constexpr std::uint64_t kPieceBytes = std::uint64_t{8} << 20;  // one request
  // A request costs about as much as so many bytes.
  static constexpr std::uint64_t kJoinBytes = 128 << 10;
  static constexpr std::size_t kMostRanges = 1024;

  // The bytes lie in the file: called after they were written.
  void written(std::uint64_t begin, std::uint64_t end);
  // The file ends at `size`: what it had behind that reads as zeros should it grow again. If some of
  // that was sent, nothing more is sent until take_all().
  void truncated(std::uint64_t size);
  // Another node: it has nothing. What the file holds is to be told by written() after this.
  void start_again();

  // True if next_in_order() has something.
  bool has_piece() const;
  // Takes kPieceBytes that continue where the last such piece ended.
  std::optional<ByteRange> next_in_order();
  // Takes all below `size`, in ranges of at most kPieceBytes, in order. `size` is the file's, at some
  // moment since the last taking: what was written behind that meanwhile stays.
  std::vector<ByteRange> take_all(std::uint64_t size);

 private:
  using Ranges = std::map<std::uint64_t, std::uint64_t>;  // end by begin
  void add(std::uint64_t begin, std::uint64_t end);
  Ranges::const_iterator piece_in_order() const;

  mutable std::mutex mutex_;  // guards everything below
  Ranges ranges_;  // disjoint, not adjacent
  std::uint64_t in_order_ = 0;  // next_in_order() goes on here
  std::uint64_t sent_end_ = 0;  // a node may have bytes up to here
  std::optional<std::uint64_t> cut_at_;  // and from here on they are to be sent anew
};

}  // namespace skein
