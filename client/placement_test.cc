#include "client/placement.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

using namespace std::chrono_literals;

Node named(const std::string& host) {
  Node node;
  node.address = {host, 1};
  return node;
}

std::string choose(Placement& placement, const NodeList& alive,
                   const std::set<std::string>& excluded = {}) {
  const auto node = placement.choose(alive, excluded);
  return node ? node->address.host : "none";
}

TEST_CASE("placement: a node that joins late is written before any node is reused") {
  ManualClock time;
  Placement placement(time.clock());
  CHECK(choose(placement, {named("cam1"), named("cam2")}) == "cam1");
  time.advance(1ms);
  CHECK(choose(placement, {named("cam1"), named("cam2")}) == "cam2");
  time.advance(1ms);
  CHECK(choose(placement, {named("cam1"), named("cam2"), named("cam3")}) == "cam3");
  time.advance(1ms);
  CHECK(choose(placement, {named("cam1"), named("cam2"), named("cam3")}) == "cam1");
}

TEST_CASE("placement: an excluded node is passed over and keeps its turn") {
  ManualClock time;
  Placement placement(time.clock());
  const NodeList nodes{named("cam1"), named("cam2")};
  CHECK(choose(placement, nodes, {"cam1:1"}) == "cam2");
  time.advance(1ms);
  CHECK(choose(placement, nodes) == "cam1");
}

TEST_CASE("placement: with no node left the error says so") {
  Placement placement(real_clock());
  CHECK(placement.choose({}).error().code == std::errc::host_unreachable);
  CHECK(placement.choose({named("a")}, {"a:1"}).error().code == std::errc::host_unreachable);
}

TEST_CASE("placement: a node that restarts on another port is still the same node") {
  ManualClock time;
  Placement placement(time.clock());
  Node cam1 = named("cam1");
  cam1.id = "id-1";
  Node cam2 = named("cam2");
  cam2.id = "id-2";
  CHECK(choose(placement, {cam1, cam2}) == "cam1");
  time.advance(1ms);
  cam1.address.port = 99;
  CHECK(choose(placement, {cam1, cam2}) == "cam2");
}

}  // namespace
}  // namespace skein
