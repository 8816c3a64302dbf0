#include "discovery/membership.h"

#include <doctest/doctest.h>

#include "core/uuid.h"
#include "discovery/advertiser.h"
#include "discovery/test_node.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

const std::string kId = "aaaaaaaa-0000-4000-8000-000000000001";

MembershipOptions with_static(std::vector<NodeAddress> nodes) {
  MembershipOptions options;
  options.static_nodes = std::move(nodes);
  options.mdns = false;
  options.registry = false;
  return options;
}

Node some_node(const std::string& id = kId) {
  return {{}, id, local_host_id(), "PYMEDataServer [lab]:a - PID:1", "lab", ""};
}

bool takes_less_than(std::chrono::milliseconds limit, const std::function<void()>& action) {
  const auto begun = std::chrono::steady_clock::now();
  action();
  return std::chrono::steady_clock::now() - begun < limit;
}

TEST_CASE("membership: static nodes that answer are there when it has settled, in one order") {
  const TestNode b(reply_with(status_of(some_node("bbbbbbbb-0000-4000-8000-000000000002"))));
  const TestNode a(reply_with(status_of(some_node())));
  const auto membership = Membership::start(with_static({b.address(), a.address()}));
  const auto nodes = membership->wait_settled(Deadline::after(10s));
  REQUIRE(nodes->size() == 2);
  CHECK(nodes->at(0).address == a.address());
  CHECK(nodes->at(1).address == b.address());
  CHECK(membership->nodes() == nodes);
}

TEST_CASE("membership: without any source it has settled at once, and is empty") {
  const auto membership = Membership::start(with_static({}));
  CHECK(takes_less_than(1000ms, [&] {
    CHECK(membership->wait_settled(Deadline::after(10s))->empty());
  }));
}

TEST_CASE("membership: silent nodes delay neither the answering ones nor the end") {
  const TestNode good(reply_with(status_of(some_node())));
  std::vector<std::unique_ptr<TestNode>> silent;
  MembershipOptions options = with_static({});
  options.probe_timeout = 30s;
  for (int i = 0; i < 12; ++i) {
    silent.push_back(std::make_unique<TestNode>(""));
    options.static_nodes.push_back(silent.back()->address());
  }
  options.static_nodes.push_back(good.address());
  CHECK(takes_less_than(10s, [&] {
    WatchedMembership membership(options);
    CHECK(membership.comes_to(1, 8s));
    // It can't settle before the silent ones had their time, and says so by its deadline.
    CHECK(membership->wait_settled(Deadline::after(100ms))->size() == 1);
  }));
}

TEST_CASE("membership: a node that dies is set aside with the reason, and back when it answers") {
  auto node = std::make_unique<TestNode>(reply_with(status_of(some_node())));
  const NodeAddress address = node->address();
  WatchedMembership membership(with_static({address}));
  REQUIRE(membership.comes_to(1, 5s));
  node.reset();
  membership->report_failure(kId, {std::errc::connection_refused, "GET /x: refused"});
  CHECK(membership.comes_to(0, 1500ms));
  const auto states = membership->states();
  REQUIRE(states.size() == 1);
  CHECK(states.front().kind == NodeState::Kind::kSetAside);
  CHECK(states.front().sources == "static");
  CHECK(states.front().why.find("refused") != std::string::npos);
  node = std::make_unique<TestNode>(reply_with(status_of(some_node())), address.port);
  CHECK(membership.comes_to(1, 3s));
}

TEST_CASE("membership: a death nobody reports is noticed within 3 s") {
  auto node = std::make_unique<TestNode>(reply_with(status_of(some_node())));
  WatchedMembership membership(with_static({node->address()}));
  REQUIRE(membership.comes_to(1, 5s));
  node.reset();
  CHECK(membership.comes_to(0, 3s));
}

TEST_CASE("membership: a false report changes nothing") {
  const TestNode node(reply_with(status_of(some_node())));
  const auto membership = Membership::start(with_static({node.address()}));
  const auto nodes = membership->wait_settled(Deadline::after(10s));
  REQUIRE(nodes->size() == 1);
  for (int i = 0; i < 100; ++i) {
    membership->report_failure(kId, {std::errc::timed_out, "slow"});
  }
  CHECK(membership->wait_settled(Deadline::after(10s)) == nodes);
}

TEST_CASE("membership: a server that registers is found at once, and gone when it withdraws") {
  const OwnRunDir run_dir;
  MembershipOptions options = with_static({});
  options.registry = true;
  options.filter = "lab";
  WatchedMembership membership(options);
  CHECK(membership->wait_settled(Deadline::after(10s))->empty());

  auto server = std::make_unique<TestNode>(reply_with(status_of(some_node())));
  Node node = some_node();
  node.address = server->address();
  // It says to listen on every address, so that a network's going away can't part it from us.
  Node told = node;
  told.address.host = "192.0.2.1";
  auto advertiser = Advertiser::start(told, {.mdns = false});
  REQUIRE(advertiser);
  REQUIRE(membership.comes_to(1, 3s));
  CHECK(membership->nodes()->front() == node);

  server.reset();
  advertiser->reset();
  CHECK(membership.comes_to(0, 3s));
  CHECK(membership->states().empty());
}

TEST_CASE("membership: another cluster's registered node is not seen") {
  const OwnRunDir run_dir;
  const TestNode server(reply_with(status_of(some_node())));
  Node node = some_node();
  node.address = server.address();
  const auto advertiser = Advertiser::start(node, {.mdns = false});
  REQUIRE(advertiser);
  MembershipOptions options = with_static({});
  options.registry = true;
  options.filter = "home";
  const auto membership = Membership::start(options);
  CHECK(membership->wait_settled(Deadline::after(10s))->empty());
}

}  // namespace
}  // namespace skein
