#include "core/cluster_uri.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

TEST_CASE("cluster uri: all spellings name cluster and path") {
  for (const char* scheme : {"PYME-CLUSTER", "pyme-cluster", "skein"}) {
    CAPTURE(scheme);
    const auto uri = parse_cluster_uri(std::string(scheme) + "://lab/a/b.tif");
    REQUIRE(uri);
    CHECK(uri->cluster == "lab");
    CHECK(uri->path.text() == "a/b.tif");
  }
}

TEST_CASE("cluster uri: the triple slash means every visible node, a bare path names none") {
  CHECK(parse_cluster_uri("PYME-CLUSTER:///a")->cluster == "");
  CHECK(parse_cluster_uri("skein://lab")->path.is_root());
  CHECK_FALSE(parse_cluster_uri("/a/b")->cluster.has_value());
  CHECK(parse_cluster_uri("a/b")->path.text() == "a/b");
  CHECK(parse_cluster_uri("/")->path.is_root());
  CHECK(parse_cluster_uri("dir/odd://name")->path.text() == "dir/odd:/name");
}

TEST_CASE("cluster uri: unknown schemes and climbing paths are refused") {
  for (const char* text : {"http://lab/a", "Pyme-Cluster://lab/a", "skein://lab/../a", "../a"}) {
    CAPTURE(text);
    const auto uri = parse_cluster_uri(text);
    REQUIRE_FALSE(uri);
    CHECK(uri.error().code == std::errc::invalid_argument);
  }
}

}  // namespace
}  // namespace skein
