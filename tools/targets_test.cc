#include "tools/targets.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

TEST_CASE("targets: a trailing slash, or the root, is a folder") {
  const auto parsed = parse_targets({"/a/b", "a/b/", "/", "//"});
  REQUIRE(parsed);
  CHECK_FALSE(parsed->targets[0].is_folder);
  CHECK(parsed->targets[1].is_folder);
  CHECK(parsed->targets[2].is_folder);
  CHECK(parsed->targets[3].is_folder);
  CHECK(parsed->targets[0].path == parsed->targets[1].path);
  CHECK_FALSE(parsed->cluster.has_value());
}

TEST_CASE("targets: paths are shown the way the cluster was named") {
  const auto bare = parse_targets({"a//b/../c"});
  REQUIRE(bare);
  CHECK(bare->targets[0].shown(bare->targets[0].path) == "/a/c");
  const auto named = parse_targets({"PYME-CLUSTER://lab/a"});
  REQUIRE(named);
  CHECK(named->cluster == "lab");
  CHECK(named->targets[0].shown(named->targets[0].path) == "PYME-CLUSTER://lab/a");
  const auto every = parse_targets({"skein:///a/"});
  REQUIRE(every);
  CHECK(every->cluster == "");
  CHECK(every->targets[0].shown(every->targets[0].path) == "skein:///a");
}

TEST_CASE("targets: one command works with one cluster") {
  CHECK(parse_targets({"skein://lab/a", "PYME-CLUSTER://lab/b"}));
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"skein://lab/a", "skein://other/a"},
           {"skein://lab/a", "/a"},
           {"/a", "skein:///a"},
           {""},
           {"http://lab/a"},
           {"/../a"}}) {
    CAPTURE(words.front());
    const auto parsed = parse_targets(words);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == std::errc::invalid_argument);
  }
}

TEST_CASE("targets: a source goes into a folder under its last component") {
  CHECK(source_name("a/b.tif") == "b.tif");
  CHECK(source_name("b.tif") == "b.tif");
  CHECK(source_name("scan/") == "scan");
  CHECK(source_name("scan//") == "scan");
  CHECK(source_name("scan/.") == "");
  CHECK(source_name("scan/./") == "");
  CHECK(source_name("..") == "");
  CHECK(source_name("/") == "");
  CHECK(source_name("a/..b") == "..b");
}

TEST_CASE("targets: a message names its path once") {
  const ClusterPath path = *ClusterPath::parse("a/b");
  const auto why = [&](const char* what) {
    return without_path({std::errc::io_error, what}, path).what;
  };
  CHECK(why("get /a/b: no such file") == "no such file");
  CHECK(why("put /a/b: file exists") == "file exists");
  CHECK(why("list /a/b: it is a file") == "it is a file");
  CHECK(why("get /a/bc: no such file") == "get /a/bc: no such file");
  CHECK(why("connect: refused") == "connect: refused");
}

}  // namespace
}  // namespace skein
