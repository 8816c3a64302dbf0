#include "discovery/probe.h"

#include <doctest/doctest.h>

#include <future>

#include "discovery/test_node.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

const std::string kId = "aaaaaaaa-0000-4000-8000-000000000001";

std::errc failure_of(const std::string& reply) {
  const TestNode node(reply);
  Prober prober(300ms);
  const auto status = prober.probe(node.address());
  REQUIRE_FALSE(status);
  CHECK(status.error().what.find(node.address().text()) != std::string::npos);
  return status.error().code;
}

TEST_CASE("probe: a Skein node tells id, host, cluster, lane and name") {
  Node told;
  told.id = kId;
  told.host_id = "host-1";
  told.name = "PYMEDataServer [lab]:a - PID:1";
  told.cluster = "lab";
  told.lane = "/run/x.sock";
  const TestNode node(reply_with(status_of(told)));
  Prober prober(2000ms);
  const auto status = prober.probe(node.address());
  REQUIRE(status);
  CHECK(*status == ProbedStatus{kId, "host-1", "lab", "/run/x.sock", told.name});
}

TEST_CASE("probe: a PYME server, which has none of those keys, is a good node without an id") {
  const TestNode node(
      "HTTP/1.1 200 OK\r\nServer: SimpleHTTP\r\nContent-Length: 59\r\n\r\n"
      R"({"IPAddress": "10.0.0.1", "Port": 15348, "TestMode": false})");
  Prober prober(2000ms);
  const auto status = prober.probe(node.address());
  REQUIRE(status);
  CHECK(*status == ProbedStatus{});
}

TEST_CASE("probe: an id that is no UUID, and keys of odd types, count as absent") {
  const TestNode node(reply_with(R"({"NodeId": "../../x", "HostId": 7, "Cluster": null})"));
  Prober prober(2000ms);
  const auto status = prober.probe(node.address());
  REQUIRE(status);
  CHECK(*status == ProbedStatus{});
}

TEST_CASE("probe: what is no 200 with a JSON object is no node") {
  CHECK(failure_of("SSH-2.0-OpenSSH_9.2\r\n\r\n") == std::errc::bad_message);
  CHECK(failure_of(reply_with("<html>hello</html>")) == std::errc::bad_message);
  CHECK(failure_of(reply_with("[1, 2]")) == std::errc::bad_message);
  CHECK(failure_of(reply_with("{\"NodeId\": ")) == std::errc::bad_message);
  CHECK(failure_of(reply_with("")) == std::errc::bad_message);
  CHECK(failure_of("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}") ==
        std::errc::bad_message);
  CHECK(failure_of("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}") ==
        std::errc::connection_reset);
}

TEST_CASE("probe: an endless answer is given up at a limit") {
  CHECK(failure_of(reply_with(std::string(kMaxStatusBytes + 10, ' '))) ==
        std::errc::message_size);
}

TEST_CASE("probe: a closed port is refused at once") {
  NodeAddress address;
  {
    const TestNode node(reply_with("{}"));
    address = node.address();
  }
  Prober prober(5000ms);
  const auto begun = std::chrono::steady_clock::now();
  const auto status = prober.probe(address);
  REQUIRE_FALSE(status);
  CHECK(status.error().code == std::errc::connection_refused);
  CHECK(std::chrono::steady_clock::now() - begun < 2s);
}

TEST_CASE("probe: a node that accepts and never answers costs the timeout, no more") {
  const auto begun = std::chrono::steady_clock::now();
  CHECK(failure_of("") == std::errc::timed_out);
  CHECK(std::chrono::steady_clock::now() - begun < 2s);
}

TEST_CASE("probe: stop() ends a probe under way and lets none begin") {
  const TestNode node("");
  Prober prober(60s);
  auto probing = std::async(std::launch::async, [&] { return prober.probe(node.address()); });
  // Whether the probe has begun or not when it is stopped, it must not last.
  probing.wait_for(50ms);
  prober.stop();
  REQUIRE(probing.wait_for(10s) == std::future_status::ready);
  CHECK_FALSE(probing.get());
  CHECK(prober.probe(node.address()).error().code == std::errc::operation_canceled);
}

}  // namespace
}  // namespace skein
