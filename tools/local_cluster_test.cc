#include "tools/local_cluster.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

TEST_CASE("up: a server's ready line gives its address, folder and id") {
  const auto node = parse_ready_line(
      "ready url=http://127.0.0.1:40001/ root=/data/my node=1 id=0a-b cluster=lab id=x");
  REQUIRE(node);
  CHECK(node->url == "http://127.0.0.1:40001/");
  CHECK(node->root == "/data/my node=1");
  CHECK(node->id == "0a-b");
}

TEST_CASE("up: any other line is not taken for it") {
  for (const char* line : {"", "ready", "ready url=http://a/", "error: port taken",
                           "ready url=http://a/ root=/x cluster=c"}) {
    CAPTURE(line);
    CHECK_FALSE(parse_ready_line(line).ok());
  }
}

TEST_CASE("up: mount points are known by the kernel's table") {
  CHECK(is_mount_point("/proc"));
  CHECK(is_mount_point("/"));
  CHECK_FALSE(is_mount_point("/proc/self"));
  CHECK_FALSE(is_mount_point("/nonexistent"));
}

}  // namespace
}  // namespace skein
