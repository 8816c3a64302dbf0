#include "client/lane_client.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/memory_lane.h"
#include "client/scripted_server.h"
#include "core/scratch_folder.h"
#include "core/socket.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

void write_all(LaneClient::Stage& stage, const std::string& bytes) {
  REQUIRE(::write(stage.fd(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

TEST_CASE("lane client: a file is opened, created, checked, sealed and found, on one connection") {
  ScratchFolder folder;
  LaneNode lane(folder.path() / "lane");
  LaneClient client(5s);
  CHECK(client.reaches(lane.node()));
  auto stage = client.create(lane.node(), path_of("a/f"));
  REQUIRE(stage);
  write_all(**stage, "bytes");
  CHECK((*stage)->check());
  CHECK(lane.file("a/f") == "absent");
  CHECK((*stage)->seal());
  CHECK(lane.file("a/f") == "bytes");
  auto opened = client.open(lane.node(), path_of("a/f"));
  REQUIRE(opened);
  REQUIRE(*opened);
  CHECK((*opened)->size_bytes == 5);
  CHECK(bytes_of((*opened)->fd.get()) == "bytes");
  CHECK_FALSE(client.open(lane.node(), path_of("none"))->has_value());
  CHECK(lane.connections() == 1);
}

TEST_CASE("lane client: a taken name and a full disk are told at check and at seal") {
  ScratchFolder folder;
  LaneNode lane(folder.path() / "lane");
  LaneClient client(5s);
  auto taken = client.create(lane.node(), path_of("f"));
  REQUIRE(taken);
  lane.add("f", "theirs");
  CHECK((*taken)->check().error().code == std::errc::file_exists);
  CHECK((*taken)->seal().error().code == std::errc::file_exists);
  CHECK(lane.file("f") == "theirs");
  auto big = client.create(lane.node(), path_of("g"));
  REQUIRE(big);
  lane.full = true;
  CHECK((*big)->seal().error().code == std::errc::no_space_on_device);
}

TEST_CASE("lane client: what is no lane to the node is not reachable, and no error of the node") {
  ScratchFolder folder;
  LaneNode lane(folder.path() / "lane");
  LaneClient client(5s);
  Node node = lane.node();
  SUBCASE("no socket") { node.lane = folder.path() / "none"; }
  SUBCASE("no lane offered") { node.lane.clear(); }
  SUBCASE("a path no socket can have") { node.lane = folder.path().string() + std::string(200, 'x'); }
  SUBCASE("another host") { node.host_id = "another"; }
  SUBCASE("a server of another make") { node.id.clear(); }
  SUBCASE("another node behind the socket") { lane.hello_ = "id-2"; }
  SUBCASE("a stale socket file") {
    node.lane = folder.path() / "stale";
    Fd gone(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    node.lane.copy(at.sun_path, sizeof at.sun_path - 1);
    REQUIRE(::bind(gone.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  }
  CHECK_FALSE(client.reaches(node));
  CHECK(client.open(node, path_of("f")).error().code == std::errc::not_supported);
  CHECK(client.create(node, path_of("f")).error().code == std::errc::not_supported);
}

TEST_CASE("lane client: a node that restarted is reached again without an error") {
  ScratchFolder folder;
  LaneNode lane(folder.path() / "lane");
  lane.add("f", "bytes");
  LaneClient client(5s);
  REQUIRE(client.open(lane.node(), path_of("f")));
  lane.hang_up();
  const auto opened = client.open(lane.node(), path_of("f"));
  REQUIRE(opened);
  CHECK(opened->has_value());
  CHECK(lane.connections() == 2);
}

TEST_CASE("lane client: a node that stops answering costs one timeout, then is left alone") {
  ScratchFolder folder;
  LaneNode lane(folder.path() / "lane");
  LaneClient client(200ms);
  lane.silent = LaneVerb::kHello;
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) CHECK_FALSE(client.reaches(lane.node()));
  CHECK(std::chrono::steady_clock::now() - before < 1500ms);
}

TEST_CASE("lane client: after a seal without reply nothing is claimed") {
  ScratchFolder folder;
  LaneNode lane(folder.path() / "lane");
  LaneClient client(300ms);
  auto hung_up = client.create(lane.node(), path_of("f"));
  auto stopped = client.create(lane.node(), path_of("g"));
  auto restarted = client.create(lane.node(), path_of("h"));
  REQUIRE(hung_up);
  REQUIRE(stopped);
  REQUIRE(restarted);
  lane.silent = LaneVerb::kSeal;
  CHECK((*stopped)->seal().error().code == std::errc::not_connected);
  lane.closing = LaneVerb::kSeal;
  lane.silent = LaneVerb{};
  CHECK((*hung_up)->seal().error().code == std::errc::not_connected);
  lane.hang_up();
  CHECK((*restarted)->check().error().code == std::errc::host_unreachable);
  CHECK((*restarted)->seal().error().code == std::errc::host_unreachable);
  CHECK(lane.file("h") == "absent");
}

TEST_CASE("lane client: a stage is dropped in so many words, or a node would keep it") {
  ScratchFolder folder;
  LaneNode lane(folder.path() / "lane");
  LaneClient client(5s);
  {
    auto stage = client.create(lane.node(), path_of("a/f"));
    REQUIRE(stage);
    REQUIRE((*stage)->check());
  }
  lane.hang_up();
  CHECK(lane.drops == 1);
}

TEST_CASE("lane client: what a node kept of a dead writer is found, published and dropped") {
  ScratchFolder folder;
  LaneNode lane(folder.path() / "lane");
  LaneClient client(5s);
  const auto first = client.next_kept(lane.node(), "");
  REQUIRE(first);
  REQUIRE(first->has_value());
  CHECK((*first)->id == lane.kept_id);
  CHECK((*first)->path.text() == "d/a");
  CHECK((*first)->size_bytes == 3);
  CHECK((*first)->fd.valid());
  const auto end = client.next_kept(lane.node(), lane.kept_id);
  REQUIRE(end);
  CHECK_FALSE(end->has_value());
  const auto taken = client.publish_kept(lane.node(), lane.kept_id, path_of("taken"));
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == std::errc::file_exists);
  CHECK(client.publish_kept(lane.node(), lane.kept_id, path_of("d/a")));
  CHECK(client.drop_kept(lane.node(), lane.kept_id));
  CHECK_FALSE(client.drop_kept(lane.node(), "00000000-0000-4000-8000-00000000000f"));
}

TEST_CASE("lane client: threads at once each get their own file") {
  ScratchFolder folder;
  LaneNode lane(folder.path() / "lane");
  LaneClient client(10s);
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 50; ++i) {
          const std::string name = std::to_string(t) + "-" + std::to_string(i);
          auto stage = client.create(lane.node(), path_of(name));
          if (!stage) continue;
          const auto n = ::write((*stage)->fd(), name.data(), name.size());
          if (n != static_cast<ssize_t>(name.size()) || !(*stage)->seal()) continue;
          const auto opened = client.open(lane.node(), path_of(name));
          if (opened && *opened && bytes_of((*opened)->fd.get()) == name) ++right;
        }
      });
    }
  }
  CHECK(right == 400);
}

}  // namespace
}  // namespace skein
