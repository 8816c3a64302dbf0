#include "client/union_listing.h"

#include <doctest/doctest.h>

#include "client/locate.h"
#include "client/scripted_server.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

ScriptedServer::Script silent_script() {
  return [](ScriptedServer& server, HttpStream&, const RequestHead&) {
    server.stall();
    return false;
  };
}

TEST_CASE("union listing: names of all nodes stand in one directory, sizes of folders add up") {
  MemoryNode one, two;
  one.add("run/a", "1");
  one.add("run/frames/x", "1");
  two.add("run/b", "22");
  two.add("run/frames/y", "1");
  NodeClient client(10s);
  const auto listing = list_union(client, {one.node(), two.node()}, path_of("run"));
  REQUIRE(listing);
  CHECK(listing->silent.empty());
  REQUIRE(listing->listing.size() == 3);
  CHECK(listing->listing.find("a")->size == 1);
  CHECK(listing->listing.find("b")->size == 2);
  CHECK(listing->listing.find("frames")->size == 2);
}

TEST_CASE("union listing: silent nodes cost one timeout together and are named") {
  MemoryNode alive;
  alive.add("run/a", "1");
  ScriptedServer silent_1(silent_script()), silent_2(silent_script()), silent_3(silent_script());
  const NodeList nodes{silent_1.node(), alive.node(), silent_2.node(), dead_node(),
                       silent_3.node()};
  NodeClient client(400ms);
  const auto before = std::chrono::steady_clock::now();
  const auto listing = list_union(client, nodes, path_of("run"));
  const auto took = std::chrono::steady_clock::now() - before;
  REQUIRE(listing);
  CHECK(listing->listing.size() == 1);
  CHECK(listing->silent.size() == 4);
  CHECK(took >= 400ms);
  CHECK(took < 800ms);
}

TEST_CASE("union listing: each node's share says what the node said") {
  MemoryNode listed, unchanged, absent;
  listed.add("d/new", "1");
  unchanged.add("d/old", "1");
  absent.add("elsewhere", "1");
  NodeClient client(10s);
  const auto known = client.list(unchanged.node(), path_of("d"), "");
  REQUIRE(known);
  const NodeList nodes{listed.node(), unchanged.node(), absent.node(), dead_node()};
  const auto shares = list_on_all(client, nodes, path_of("d"),
                                  {{unchanged.node().key(), (*known)->etag}});
  REQUIRE(shares.size() == 4);
  CHECK(shares[0].kind == NodeShare::Kind::kListed);
  CHECK(shares[0].listing.find("new") != nullptr);
  CHECK(shares[1].kind == NodeShare::Kind::kUnchanged);
  CHECK(shares[1].etag == (*known)->etag);
  CHECK(shares[2].kind == NodeShare::Kind::kAbsent);
  CHECK(shares[3].kind == NodeShare::Kind::kSilent);
  REQUIRE(shares[3].error);
  CHECK(shares[3].error->code == std::errc::connection_refused);
  for (std::size_t i = 0; i < nodes.size(); ++i) CHECK(shares[i].node == nodes[i]);
}

TEST_CASE("union listing: absence, a file, and not knowing are three errors") {
  MemoryNode node;
  node.add("file", "1");
  NodeClient client(10s);
  const auto code = [&](const NodeList& nodes, const char* path) {
    return list_union(client, nodes, path_of(path)).error().code;
  };
  CHECK(code({node.node()}, "none") == std::errc::no_such_file_or_directory);
  CHECK(code({node.node()}, "file") == std::errc::not_a_directory);
  CHECK(code({node.node(), dead_node()}, "none") == std::errc::host_unreachable);
  CHECK(code({}, "none") == std::errc::host_unreachable);
  CHECK(list_union(client, {node.node()}, ClusterPath()).ok());
}

TEST_CASE("union listing: a listing that comes in pieces from every node is put together whole") {
  Listing large([] {
    std::vector<NamedEntry> entries;
    for (int i = 0; i < 20'000; ++i) entries.push_back({"frame" + std::to_string(i), {0, i}});
    return entries;
  }());
  const std::string json = to_json(large);
  const auto in_pieces = [&json](ScriptedServer&, HttpStream& stream, const RequestHead&) {
    send_text(stream, "HTTP/1.1 200 OK\r\nContent-Le");
    send_text(stream, "ngth: " + std::to_string(json.size()) + "\r\n\r\n");
    for (std::size_t at = 0; at < json.size(); at += 10'000) {
      if (!send_text(stream, json.substr(at, 10'000))) return false;
    }
    return true;
  };
  ScriptedServer one(in_pieces), two(in_pieces), three(in_pieces);
  NodeClient client(10s);
  for (int round = 0; round < 3; ++round) {
    const auto listing = list_union(client, {one.node(), two.node(), three.node()}, path_of("d"));
    REQUIRE(listing);
    CHECK(listing->listing == large);
  }
  CHECK(one.connections() + two.connections() + three.connections() == 3);
}

TEST_CASE("locate: copies on this host come first, and silent nodes are named") {
  MemoryNode far, near, without;
  far.add("f", "12345");
  near.add("f", "12345");
  Node local = near.node();
  local.host_id = local_host_id();
  NodeClient client(10s);
  const Located located =
      locate(client, {far.node(), without.node(), local, dead_node()}, path_of("f"));
  REQUIRE(located.copies.size() == 2);
  CHECK(located.copies[0].node == local);
  CHECK(located.copies[1].node == far.node());
  CHECK(located.copies[1].info.size_bytes == 5);
  CHECK(located.copies[1].info.mtime_s == 784111777);
  CHECK(located.silent.size() == 1);
}

}  // namespace
}  // namespace skein
