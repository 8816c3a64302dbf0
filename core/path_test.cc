#include "core/path.h"

#include <doctest/doctest.h>

#include <random>

#include "core/percent.h"

namespace skein {
namespace {

std::string text_of(std::string_view input) {
  const auto path = ClusterPath::parse(input);
  REQUIRE(path);
  return path->text();
}

TEST_CASE("path: slashes and dots collapse, and the root has no components") {
  CHECK(text_of("").empty());
  CHECK(text_of("/").empty());
  CHECK(text_of("//") == "");
  CHECK(text_of("/a/b/c") == "a/b/c");
  CHECK(text_of("a//b/./c/") == "a/b/c");
  CHECK(text_of("a/../b") == "b");
  CHECK(text_of("a/b/../../c") == "c");
  CHECK(text_of("..a/b..") == "..a/b..");
  CHECK(text_of("...") == "...");
}

TEST_CASE("path: climbing above the root is dropped and told") {
  bool climbed = true;
  CHECK(ClusterPath::parse("a/../b", &climbed)->text() == "b");
  CHECK_FALSE(climbed);
  CHECK(ClusterPath::parse("/../etc/passwd", &climbed)->text() == "etc/passwd");
  CHECK(climbed);
  CHECK(ClusterPath::parse("a/../../b", &climbed)->text() == "b");
  CHECK(climbed);
}

TEST_CASE("path: NUL and over-long names are refused") {
  CHECK(ClusterPath::parse(std::string_view("a\0b", 3)).error().code == std::errc::invalid_argument);
  CHECK(ClusterPath::parse(std::string(255, 'x')).ok());
  CHECK(ClusterPath::parse(std::string(256, 'x')).error().code == std::errc::filename_too_long);
  std::string deep;
  for (int i = 0; i < 17; ++i) deep += std::string(250, 'd') + "/";
  CHECK(ClusterPath::parse(deep).error().code == std::errc::filename_too_long);
}

TEST_CASE("path: what was climbed out of does not count against the length limit") {
  std::string text;
  for (int i = 0; i < 100; ++i) text += std::string(200, 'd') + "/../";
  CHECK(text_of(text + "end") == "end");
}

TEST_CASE("path: a child is one component, never a way out") {
  const ClusterPath root;
  for (const char* name : {"", ".", "..", "a/b", "/", "../x"}) {
    CAPTURE(name);
    CHECK_FALSE(root.child(name));
  }
  CHECK(root.child("a")->child("b")->text() == "a/b");
  CHECK(root.child("a")->parent() == root);
  CHECK(root.parent() == root);
}

TEST_CASE("path: the private folder is private only at the root, with everything in it") {
  CHECK(ClusterPath::parse(".skein")->is_private());
  CHECK(ClusterPath::parse("x/../.skein/lock")->is_private());
  CHECK_FALSE(ClusterPath::parse("a/.skein")->is_private());
  CHECK_FALSE(ClusterPath::parse(".skeins")->is_private());
}

TEST_CASE("path: a target decodes to the path it was made from") {
  const auto path = ClusterPath::parse("a b/50%#?+/\xc3\xa9\x01");
  REQUIRE(path);
  const std::string target = path->target();
  CHECK(target == "/a%20b/50%25%23%3F%2B/%C3%A9%01");
  CHECK(*ClusterPath::parse(*percent_decode(target)) == *path);
  CHECK(path->directory_target() == target + "/");
  CHECK(ClusterPath().directory_target() == "/");
}

TEST_CASE("percent: malformed escapes are refused, plus is literal in paths only") {
  for (const char* text : {"%", "%4", "%zz", "a%4", "%4g"}) {
    CAPTURE(text);
    CHECK_FALSE(percent_decode(text));
  }
  CHECK(*percent_decode("a+b%41") == "a+bA");
  CHECK(*percent_decode_query("a+b") == "a b");
}

// Property: whatever the bytes, a parsed path holds only safe components, and is a fixed point.
TEST_CASE("path: no sequence of bytes spells an escape") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  const std::vector<std::string> pieces{"/", "//", ".", "..", "...", "a", "%2e", "\\", " ",
                                        "\xff", std::string(1, '\0'), ".skein", "x"};
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (unsigned n = random() % 12; n > 0; --n) text += pieces[random() % pieces.size()];
    CAPTURE(text);
    const auto path = ClusterPath::parse(text);
    REQUIRE(path.ok() == (text.find('\0') == std::string::npos));
    if (!path) continue;
    for (const std::string& name : path->components()) {
      REQUIRE_FALSE(name.empty());
      REQUIRE(name != ".");
      REQUIRE(name != "..");
      REQUIRE(name.find('/') == std::string::npos);
    }
    bool climbed = true;
    REQUIRE(*ClusterPath::parse(path->text(), &climbed) == *path);
    REQUIRE_FALSE(climbed);
    REQUIRE(*ClusterPath::parse(*percent_decode(path->target())) == *path);
  }
}

}  // namespace
}  // namespace skein
