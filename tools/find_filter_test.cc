#include "tools/find_filter.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

constexpr Entry kFile{0, 1000};
constexpr Entry kFolder{Entry::kDirectory, 3};
constexpr Entry kSeries{Entry::kDirectory | Entry::kSeries, 3};

TEST_CASE("find: a pattern matches the whole last component, as the shell's do") {
  const FindFilter filter{.name = "frame*[0-4].pzf", .iname = {}, .type = {}, .size = {}};
  CHECK(filter.matches("frame00042.pzf", kFile) == true);
  CHECK(filter.matches("frame00047.pzf", kFile) == false);
  CHECK(filter.matches("Frame00042.pzf", kFile) == false);
  CHECK(filter.matches("frame00042.pzf.txt", kFile) == false);
  const FindFilter any_case{.name = {}, .iname = "*.TIF", .type = {}, .size = {}};
  CHECK(any_case.matches("a.tif", kFile));
}

TEST_CASE("find: types are files, directories and series") {
  const auto of_type = [](char type, const Entry& entry) {
    return FindFilter{.name = {}, .iname = {}, .type = type, .size = {}}.matches("x", entry);
  };
  CHECK(of_type('f', kFile));
  CHECK_FALSE(of_type('f', kFolder));
  CHECK(of_type('d', kFolder));
  CHECK(of_type('d', kSeries));
  CHECK_FALSE(of_type('d', kFile));
  CHECK(of_type('s', kSeries));
  CHECK_FALSE(of_type('s', kFolder));
}

TEST_CASE("find: sizes compare in whole units, rounded up, as find(1) does") {
  CHECK(parse_size_test("1k")->matches(1));
  CHECK(parse_size_test("1k")->matches(1024));
  CHECK_FALSE(parse_size_test("1k")->matches(1025));
  CHECK(parse_size_test("+1k")->matches(1025));
  CHECK_FALSE(parse_size_test("+1k")->matches(1024));
  CHECK(parse_size_test("-1M")->matches(0));
  CHECK_FALSE(parse_size_test("-1M")->matches(1));
  CHECK(parse_size_test("1000")->matches(1000));
  CHECK(parse_size_test("+999c")->matches(1000));
  CHECK(parse_size_test("-17G")->matches(std::uint64_t{16} << 30));
}

TEST_CASE("find: a directory and a growing file have no size to test") {
  const FindFilter filter{.name = {}, .iname = {}, .type = {}, .size = *parse_size_test("-1k")};
  CHECK(filter.matches("empty", Entry{0, 0}));
  CHECK_FALSE(filter.matches("dir", Entry{Entry::kDirectory, 0}));
  CHECK_FALSE(filter.matches("growing", Entry{0, -1}));
}

TEST_CASE("find: a size that is none is refused") {
  for (const char* text : {"", "+", "k", "1T", "1kk", "--1", "1.5M", "99999999999999999999"}) {
    CAPTURE(text);
    const auto test = parse_size_test(text);
    REQUIRE_FALSE(test);
    CHECK(test.error().code == std::errc::invalid_argument);
  }
}

}  // namespace
}  // namespace skein
