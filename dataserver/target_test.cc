#include "dataserver/target.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

Target parsed(std::string_view text) {
  CAPTURE(text);
  auto target = parse_target(text);
  REQUIRE(target);
  return *target;
}

TEST_CASE("target: cut, decoded and collapsed") {
  CHECK(parsed("/a/b").path.text() == "a/b");
  CHECK(parsed("/a%20b/c+d").path.text() == "a b/c+d");
  CHECK(parsed("//a//./b/").path.text() == "a/b");
  CHECK(parsed("/a/b?x=/../c#y").path.text() == "a/b");
  CHECK(parsed("/a%3Fb%23c").path.text() == "a?b#c");
  CHECK(parsed("/s\xc3\xa9rie").path.text() == "s\xc3\xa9rie");
  CHECK(parsed("http://host:1/a/b").path.text() == "a/b");
  CHECK(parsed("http://host").path.is_root());
}

TEST_CASE("target: a trailing slash, however spelled, names a directory") {
  for (const char* text : {"/a/", "/a//", "/a/.", "/a/b/..", "/a/?q", "/"}) {
    CAPTURE(text);
    CHECK(parsed(text).directory);
  }
  CHECK_FALSE(parsed("/a").directory);
  CHECK_FALSE(parsed("/a?b/").directory);
}

TEST_CASE("target: climbing above the root is dropped and told") {
  CHECK(parsed("/../x").climbed);
  CHECK(parsed("/../x").path.text() == "x");
  CHECK(parsed("/%2e%2e/x").climbed);
  CHECK_FALSE(parsed("/a/../x").climbed);
}

TEST_CASE("target: what names nothing is refused") {
  for (const char* text : {"a", "*", "https://h/a", "/a%", "/a%zz", "/a%00", "/a%2fb", "/a%2F"}) {
    CAPTURE(text);
    const auto target = parse_target(text);
    REQUIRE_FALSE(target);
    CHECK(target.error().code == std::errc::invalid_argument);
  }
  CHECK(parse_target("/" + std::string(256, 'n')).error().code == std::errc::filename_too_long);
}

TEST_CASE("target: query values are decoded, missing ones are empty") {
  const Target target = parsed("/__glob?a=1&pattern=x%2F*+y&b");
  CHECK(target.query_value("pattern") == "x/* y");
  CHECK(target.query_value("a") == "1");
  CHECK(target.query_value("b").empty());
  CHECK(target.query_value("c").empty());
}

}  // namespace
}  // namespace skein
