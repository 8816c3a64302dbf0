#include "streamer/placing.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

namespace skein {
namespace {

NodeList nodes_named(const std::string& letters) {
  NodeList nodes;
  for (const char letter : letters) {
    nodes.emplace_back();
    nodes.back().id = std::string(8, letter);
  }
  return nodes;
}

TEST_CASE("placing: chunks of files go round the nodes, and a key goes before the number") {
  const ClusterPath path;
  const NodeList nodes = nodes_named("abc");
  const PlaceFunction chunks = place_in_chunks(10);
  CHECK(chunks({0, path, ""}, nodes) == 0);
  CHECK(chunks({9, path, ""}, nodes) == 0);
  CHECK(chunks({10, path, ""}, nodes) == 1);
  CHECK(chunks({30, path, ""}, nodes) == 0);
  CHECK(place_round_robin()({5, path, ""}, nodes) == 2);
  for (std::uint64_t index = 0; index < 50; ++index) {
    CHECK(chunks({index, path, "z17"}, nodes) == place_by_key("z17", nodes));
  }
}

TEST_CASE("placing: keys are spread evenly, and a node that leaves moves only its own") {
  const NodeList all = nodes_named("abcd");
  const NodeList fewer = nodes_named("abd");
  std::map<std::string, int> share;
  for (int n = 0; n < 4000; ++n) {
    const std::string key = "plane" + std::to_string(n);
    const std::string before = all[place_by_key(key, all)].key();
    const std::string after = fewer[place_by_key(key, fewer)].key();
    ++share[before];
    if (before != std::string(8, 'c')) CHECK(after == before);
  }
  REQUIRE(share.size() == 4);
  for (const auto& [node, count] : share) CHECK((count > 850 && count < 1150));
}

}  // namespace
}  // namespace skein
