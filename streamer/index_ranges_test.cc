#include "streamer/index_ranges.h"

#include <doctest/doctest.h>

#include <random>
#include <set>

namespace skein {
namespace {

TEST_CASE("index ranges: the same as a plain set, whatever is put in and taken out") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  IndexRanges ranges;
  std::set<std::uint64_t> plain;
  for (int step = 0; step < 5000; ++step) {
    const std::uint64_t index = random() % 60;
    if (random() % 2 == 0) {
      REQUIRE(ranges.insert(index) == plain.insert(index).second);
    } else {
      REQUIRE(ranges.erase(index) == (plain.erase(index) == 1));
    }
    REQUIRE(ranges.count() == plain.size());
    REQUIRE(ranges.end() == (plain.empty() ? 0 : *plain.rbegin() + 1));
    const std::uint64_t probe = random() % 60;
    REQUIRE(ranges.contains(probe) == (plain.count(probe) == 1));
    const auto missing = ranges.missing_below(50);
    std::set<std::uint64_t> below;
    for (const auto& range : missing) {
      for (std::uint64_t i = range.first; i <= range.last; ++i) below.insert(i);
    }
    for (std::uint64_t i = 0; i < 50; ++i) REQUIRE(below.count(i) + plain.count(i) == 1);
    REQUIRE(count_of(missing) == below.size());
  }
}

TEST_CASE("index ranges: what is missing reads as people write it") {
  IndexRanges ranges;
  for (std::uint64_t i = 0; i < 30000; ++i) ranges.insert(i);
  CHECK(ranges.missing_below(30000).empty());
  ranges.erase(17);
  CHECK(text_of(ranges.missing_below(30000), 10) == "17");
  ranges.erase(20);
  ranges.erase(21);
  CHECK(text_of(ranges.missing_below(30002), 10) == "17, 20-21, 30000-30001");
  CHECK(text_of(ranges.missing_below(30002), 1) == "17 and 4 more");
  CHECK(text_of({}, 10).empty());
}

}  // namespace
}  // namespace skein
