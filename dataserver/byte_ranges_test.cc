#include "dataserver/byte_ranges.h"

#include <doctest/doctest.h>

#include <string>

using skein::AskedRanges;
using skein::ByteRange;
using skein::parse_ranges;

namespace {

using Parts = std::vector<ByteRange>;

Parts parts(std::string_view text, std::uint64_t size) {
  const AskedRanges asked = parse_ranges(text, size);
  CHECK(asked.kind == AskedRanges::Kind::kParts);
  return asked.parts;
}

}  // namespace

TEST_CASE("ranges: first and last byte count both, and the end of the file is the end") {
  CHECK(parts("bytes=0-0", 10) == Parts{{0, 1}});
  CHECK(parts("bytes=3-", 10) == Parts{{3, 7}});
  CHECK(parts("bytes=-4", 10) == Parts{{6, 4}});
  CHECK(parts("bytes=-40", 10) == Parts{{0, 10}});
  CHECK(parts("bytes=9-18446744073709551615", 10) == Parts{{9, 1}});
}

TEST_CASE("ranges: several keep the order they were asked in") {
  CHECK(parts("bytes=8-9, 0-1 ,,4-4", 10) == Parts{{8, 2}, {0, 2}, {4, 1}});
  CHECK(parts("bytes=1-1,10-", 10) == Parts{{1, 1}});
}

TEST_CASE("ranges: nothing of the file is unsatisfiable, not whole") {
  for (const char* text : {"bytes=10-", "bytes=-0", "bytes=10-11,12-", "bytes=99-"}) {
    CHECK(parse_ranges(text, 10).kind == AskedRanges::Kind::kUnsatisfiable);
  }
  CHECK(parse_ranges("bytes=0-", 0).kind == AskedRanges::Kind::kUnsatisfiable);
}

TEST_CASE("ranges: what is malformed, or costs more than the file, gives the whole file") {
  for (const char* text : {"", "bytes", "bytes=", "bytes= ", "bytes=-", "bytes=5-3", "bytes=a-",
                           "bytes=1-2-3", "lines=1-2", "bytes=0x1-", "bytes=+1-2", "bytes=0-1,x",
                           "bytes=0-9,0-0", "bytes=99999999999999999999-"}) {
    CAPTURE(text);
    CHECK(parse_ranges(text, 10).kind == AskedRanges::Kind::kWhole);
  }
  std::string many = "bytes=0-0";
  for (std::size_t i = 1; i <= skein::kMaxRanges; ++i) many += ",1-1";
  CHECK(parse_ranges(many, 1000).kind == AskedRanges::Kind::kWhole);
}
