#include "discovery/roster.h"

#include <doctest/doctest.h>

#include <random>
#include <set>

namespace skein {
namespace {

using namespace std::chrono_literals;
using Kind = NodeState::Kind;
using Source = Roster::Source;

const std::string kIdA = "aaaaaaaa-0000-4000-8000-000000000001";
const std::string kIdB = "bbbbbbbb-0000-4000-8000-000000000002";
const Error kRefused{std::errc::connection_refused, "refused"};
const Error kSilent{std::errc::timed_out, "no answer in time"};

Node named(const std::string& host, const std::string& name, const std::string& id = "") {
  Node node;
  node.address = {host, 80};
  node.name = name;
  node.id = id;
  return node;
}

ProbedStatus says(const std::string& id, const std::string& name = "") {
  ProbedStatus status;
  status.id = id;
  status.name = name;
  return status;
}

// A roster with a clock, whose probes are answered by the test.
struct Scene {
  ManualClock time;
  Roster roster;

  explicit Scene(const std::string& filter = "") : roster(filter, time.clock()) {}

  std::set<std::string> due() {
    std::set<std::string> hosts;
    for (const auto& address : roster.take_due(100, 100)) hosts.insert(address.host);
    return hosts;
  }
  void answer(const std::string& host, const ProbedStatus& status) {
    REQUIRE(due().contains(host));
    roster.answered({host, 80}, status);
  }
  void fail(const std::string& host, const Error& why) {
    REQUIRE(due().contains(host));
    roster.failed({host, 80}, why);
  }
  std::string only() {
    const NodeList nodes = roster.alive();
    return nodes.size() == 1 ? nodes.front().address.host : std::to_string(nodes.size());
  }
  // How long until a probe is due.
  std::chrono::milliseconds wait() {
    const auto next = roster.next_due();
    REQUIRE(next);
    return std::chrono::duration_cast<std::chrono::milliseconds>(*next - time.clock()());
  }
};

TEST_CASE("roster: a node is used only after it answered") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("cam1", "one")});
  CHECK(scene.roster.alive().empty());
  CHECK_FALSE(scene.roster.all_probed());
  scene.answer("cam1", says(kIdA));
  CHECK(scene.only() == "cam1");
  CHECK(scene.roster.all_probed());
  CHECK(scene.wait() == Roster::kRoutine);
}

TEST_CASE("roster: one missed routine probe is forgiven, the second in a row is not") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("cam1", "one")});
  scene.answer("cam1", says(kIdA));
  for (int round = 0; round < 3; ++round) {
    scene.time.advance(Roster::kRoutine);
    scene.fail("cam1", kSilent);
    CHECK(scene.only() == "cam1");
    CHECK(scene.wait() == Roster::kSecondLook);
    scene.time.advance(Roster::kSecondLook);
    scene.answer("cam1", says(kIdA));
  }
  scene.time.advance(Roster::kRoutine);
  scene.fail("cam1", kSilent);
  scene.time.advance(Roster::kSecondLook);
  scene.fail("cam1", kSilent);
  CHECK(scene.roster.alive().empty());
  REQUIRE(scene.roster.states().size() == 1);
  CHECK(scene.roster.states().front().kind == Kind::kSetAside);
  CHECK(scene.roster.states().front().why == kSilent.what);
}

TEST_CASE("roster: a reported failure is looked at once, and one miss confirms it") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("cam1", "one"), named("cam2", "two")});
  REQUIRE(scene.due().size() == 2);
  scene.roster.answered({"cam1", 80}, says(kIdA));
  scene.roster.answered({"cam2", 80}, says(kIdB));
  scene.time.advance(1s);
  scene.roster.suspect(kIdA, kSilent);
  CHECK(scene.wait() == 0ms);
  scene.fail("cam1", kSilent);
  CHECK(scene.only() == "cam2");
}

TEST_CASE("roster: a false report changes nothing, and a flood of them costs 20 probes a second") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("cam1", "one")});
  scene.answer("cam1", says(kIdA));
  const auto revision = scene.roster.revision();
  int probes = 0;
  for (int i = 0; i < 1000; ++i) {
    scene.time.advance(1ms);
    scene.roster.suspect(kIdA, kSilent);
    if (scene.due().empty()) continue;
    ++probes;
    scene.roster.answered({"cam1", 80}, says(kIdA));
  }
  CHECK(probes == 20);
  CHECK(scene.roster.revision() == revision);
}

TEST_CASE("roster: a failed node is retried after 0.5 s, then ever later, up to 15 s") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("cam1", "one")});
  for (const auto wanted : {500ms, 1000ms, 2000ms, 4000ms, 8000ms, 15000ms, 15000ms}) {
    scene.fail("cam1", kSilent);
    CHECK(scene.wait() == wanted);
    scene.time.advance(wanted);
  }
  scene.answer("cam1", says(kIdA));
  CHECK(scene.only() == "cam1");
}

TEST_CASE("roster: a machine that refuses is asked every 2 s, as a server may start") {
  Scene scene;
  scene.roster.set_source(Source::kStatic, {named("cam1", "")});
  for (const auto wanted : {500ms, 1000ms, 2000ms, 2000ms, 2000ms}) {
    scene.fail("cam1", kRefused);
    CHECK(scene.wait() == wanted);
    scene.time.advance(wanted);
  }
}

TEST_CASE("roster: news of a failed node, such as another instance name, is looked at at once") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("cam1", "cam - PID:7")});
  for (int i = 0; i < 6; ++i) {
    scene.fail("cam1", kSilent);
    scene.time.advance(scene.wait());
  }
  scene.fail("cam1", kSilent);
  scene.time.advance(1s);
  scene.roster.set_source(Source::kMdns, {named("cam1", "cam - PID:7")});
  CHECK(scene.wait() == 14s);
  scene.roster.set_source(Source::kMdns, {named("cam1", "cam - PID:8")});
  CHECK(scene.wait() == 0ms);
}

TEST_CASE("roster: a goodbye is probed at once; a node that does not answer is forgotten") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("cam1", "one")});
  scene.answer("cam1", says(kIdA));
  scene.time.advance(500ms);
  scene.roster.set_source(Source::kMdns, {});
  CHECK(scene.only() == "cam1");
  scene.fail("cam1", kRefused);
  CHECK(scene.roster.alive().empty());
  CHECK(scene.roster.states().empty());
  CHECK_FALSE(scene.roster.next_due());
}

TEST_CASE("roster: a node that still answers after a goodbye stays, until its first miss") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("cam1", "one")});
  scene.answer("cam1", says(kIdA));
  scene.time.advance(500ms);
  scene.roster.set_source(Source::kMdns, {});
  for (int i = 0; i < Roster::kSecondLooks; ++i) {
    scene.answer("cam1", says(kIdA));
    CHECK(scene.wait() == Roster::kSecondLook);
    scene.time.advance(Roster::kSecondLook);
  }
  scene.answer("cam1", says(kIdA));
  CHECK(scene.wait() == Roster::kRoutine);
  scene.time.advance(Roster::kRoutine);
  scene.fail("cam1", kSilent);
  CHECK(scene.roster.states().empty());
}

TEST_CASE("roster: one node found by all sources is one node, at its address in the registry") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("10.0.0.1", "one", kIdA)});
  scene.answer("10.0.0.1", says(kIdA));
  CHECK(scene.only() == "10.0.0.1");
  scene.roster.set_source(Source::kStatic, {named("cam1", "")});
  scene.answer("cam1", says(kIdA));
  CHECK(scene.only() == "cam1");
  Node local = named("127.0.0.1", "one", kIdA);
  local.lane = "/run/lane";
  scene.roster.set_source(Source::kRegistry, {local});
  scene.answer("127.0.0.1", says(kIdA));
  CHECK(scene.only() == "127.0.0.1");
  CHECK(scene.roster.alive().front().lane == "/run/lane");
  REQUIRE(scene.roster.states().size() == 1);
  CHECK(scene.roster.states().front().sources == "registry+static+mdns");

  // The best address fails: the node stays, at the next best.
  scene.roster.suspect(kIdA, kSilent);
  scene.time.advance(Roster::kLeast);
  REQUIRE(scene.due().size() == 3);
  scene.roster.failed({"127.0.0.1", 80}, kSilent);
  scene.roster.answered({"10.0.0.1", 80}, says(kIdA));
  scene.roster.answered({"cam1", 80}, says(kIdA));
  CHECK(scene.only() == "cam1");
}

TEST_CASE("roster: a server without an id is one node for all addresses under its mDNS name") {
  Scene scene;
  scene.roster.set_source(Source::kMdns, {named("10.0.0.1", "PYME a"), named("10.1.0.1", "PYME a"),
                                          named("10.0.0.2", "PYME b")});
  REQUIRE(scene.due().size() == 3);
  for (const char* host : {"10.0.0.1", "10.1.0.1", "10.0.0.2"}) {
    scene.roster.answered({host, 80}, says(""));
  }
  const NodeList nodes = scene.roster.alive();
  REQUIRE(nodes.size() == 2);
  CHECK(nodes[0].key() == "10.0.0.1:80");
  CHECK(nodes[1].key() == "10.0.0.2:80");
}

TEST_CASE("roster: another store at the same address replaces the former one at once") {
  Scene scene;
  scene.roster.set_source(Source::kStatic, {named("cam1", "")});
  scene.answer("cam1", says(kIdA, "n1"));
  scene.time.advance(Roster::kRoutine);
  scene.answer("cam1", says(kIdB, "n2"));
  REQUIRE(scene.roster.alive().size() == 1);
  CHECK(scene.roster.alive().front().id == kIdB);
  CHECK(scene.roster.alive().front().name == "n2");
}

TEST_CASE("roster: a store that comes up at another address casts doubt on its former one") {
  Scene scene;
  scene.roster.set_source(Source::kStatic, {named("cam1", ""), named("cam2", "")});
  REQUIRE(scene.due().size() == 2);
  scene.roster.answered({"cam1", 80}, says(kIdA, "PID:1"));
  scene.roster.failed({"cam2", 80}, kRefused);
  scene.time.advance(500ms);
  scene.answer("cam2", says(kIdA, "PID:2"));
  CHECK(scene.wait() == 0ms);
  scene.fail("cam1", kRefused);
  CHECK(scene.only() == "cam2");
  CHECK(scene.roster.take_warnings().empty());
}

TEST_CASE("roster: two servers that run under one id are told to a person once") {
  Scene scene;
  scene.roster.set_source(Source::kStatic, {named("cam1", ""), named("cam2", "")});
  REQUIRE(scene.due().size() == 2);
  scene.roster.answered({"cam1", 80}, says(kIdA, "PID:1"));
  scene.roster.answered({"cam2", 80}, says(kIdA, "PID:2"));
  scene.time.advance(Roster::kLeast);
  scene.answer("cam1", says(kIdA, "PID:1"));
  CHECK(scene.roster.take_warnings().size() == 1);
  CHECK(scene.only() == "cam1");
  scene.time.advance(Roster::kRoutine);
  REQUIRE(scene.due().size() == 2);
  scene.roster.answered({"cam1", 80}, says(kIdA, "PID:1"));
  scene.roster.answered({"cam2", 80}, says(kIdA, "PID:2"));
  CHECK(scene.roster.take_warnings().empty());
}

TEST_CASE("roster: the filter leaves out other clusters' nodes, but never a static one") {
  Scene scene("lab");
  scene.roster.set_source(Source::kMdns, {named("10.0.0.1", "PYMEDataServer [lab]:a - PID:1"),
                                          named("10.0.0.2", "PYMEDataServer [home]:a - PID:2"),
                                          named("10.0.0.3", "PYMEDataServer [x]:lab3 - PID:3")});
  scene.roster.set_source(Source::kStatic, {named("10.0.0.4", "")});
  CHECK(scene.due() == std::set<std::string>{"10.0.0.1", "10.0.0.3", "10.0.0.4"});
  scene.roster.answered({"10.0.0.4", 80}, says(kIdA, "PYMEDataServer [home]:a - PID:4"));
  CHECK(scene.only() == "10.0.0.4");
}

TEST_CASE("roster: an address taken over by another cluster's server is set aside") {
  Scene scene("lab");
  scene.roster.set_source(Source::kMdns, {named("10.0.0.1", "PYMEDataServer [lab]:a - PID:1")});
  scene.answer("10.0.0.1", says(kIdA, "PYMEDataServer [lab]:a - PID:1"));
  CHECK(scene.only() == "10.0.0.1");
  scene.time.advance(Roster::kRoutine);
  scene.answer("10.0.0.1", says(kIdB, "PYMEDataServer [home]:a - PID:9"));
  CHECK(scene.roster.alive().empty());
  CHECK(scene.roster.states().front().why.find("another cluster") != std::string::npos);
}

TEST_CASE("roster: silent nodes get only a part of the probes, live ones go first") {
  Scene scene;
  std::vector<Node> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(named("10.0.1." + std::to_string(i), "s"));
  scene.roster.set_source(Source::kMdns, {named("zz-live", "live")});
  scene.answer("zz-live", says(kIdA));
  scene.roster.set_source(Source::kRegistry, silent);
  scene.time.advance(Roster::kRoutine);
  const auto first = scene.roster.take_due(5, 3);
  REQUIRE(first.size() == 4);
  CHECK(first.front().host == "zz-live");
  CHECK(scene.roster.take_due(5, 3).empty());
  scene.roster.failed(first.back(), kSilent);
  CHECK(scene.roster.take_due(5, 3).size() == 1);
}

TEST_CASE("roster: whatever happens, a node is shown once, and only after an answer") {
  const unsigned seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto pick = [&](unsigned below) { return static_cast<int>(random() % below); };
  Scene scene;
  std::set<std::string> answering;
  for (int step = 0; step < 3000; ++step) {
    std::vector<Node> list;
    for (int i = 0; i < 6; ++i) {
      if (pick(2)) list.push_back(named("h" + std::to_string(i), "n" + std::to_string(pick(2))));
    }
    if (pick(4) == 0) scene.roster.set_source(static_cast<Source>(pick(3)), list);
    if (pick(5) == 0) scene.roster.suspect(pick(2) ? kIdA : "h1:80", kSilent);
    scene.time.advance(std::chrono::milliseconds(pick(1500)));
    for (const auto& address : scene.roster.take_due(4, 2)) {
      if (pick(2)) {
        const std::string id = pick(3) == 0 ? "" : pick(2) ? kIdA : kIdB;
        scene.roster.answered(address, says(id, "i" + std::to_string(pick(3))));
        answering.insert(address.host);
      } else {
        scene.roster.failed(address, pick(2) ? kSilent : kRefused);
      }
    }
    std::set<std::string> keys;
    for (const Node& node : scene.roster.alive()) {
      CHECK(keys.insert(node.key()).second);
      CHECK(answering.contains(node.address.host));
    }
    // Nothing is left in flight, so whatever is named has a time to be probed at.
    if (!scene.roster.states().empty()) REQUIRE(scene.roster.next_due());
  }
}

}  // namespace
}  // namespace skein
