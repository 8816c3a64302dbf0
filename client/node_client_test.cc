#include "client/node_client.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "client/scripted_server.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

using Server = ScriptedServer;

constexpr auto kPatient = 10s;

std::string read_at(NodeClient& client, const Node& node, const std::string& path,
                    std::uint64_t offset, std::size_t size) {
  std::string into(size, '\0');
  const auto got = client.read(node, path_of(path), offset, into);
  if (!got) return "error: " + got.error().what;
  into.resize(*got);
  return into;
}

TEST_CASE("node client: a directory is listed, then confirmed unchanged, then found changed") {
  MemoryNode node;
  node.add("a/x", "12345");
  node.add("a/sub/y", "1");
  NodeClient client(kPatient);
  const auto first = client.list(node.node(), path_of("a"), "");
  REQUIRE(first);
  REQUIRE(*first);
  CHECK((*first)->listing.find("x")->size == 5);
  CHECK((*first)->listing.find("sub")->is_directory());
  const std::string etag = (*first)->etag;
  REQUIRE_FALSE(etag.empty());

  const auto second = client.list(node.node(), path_of("a"), etag);
  REQUIRE(second);
  REQUIRE(*second);
  CHECK((*second)->unchanged);
  CHECK((*second)->etag == etag);

  node.add("a/z", "");
  const auto third = client.list(node.node(), path_of("a"), etag);
  REQUIRE(third);
  REQUIRE(*third);
  CHECK_FALSE((*third)->unchanged);
  CHECK((*third)->listing.size() == 3);

  CHECK_FALSE(client.list(node.node(), path_of("b"), "")->has_value());
  CHECK(node.server().connections() == 1);
}

TEST_CASE("node client: stat tells files, directories and absence, names of any bytes included") {
  MemoryNode node;
  node.add("a b/100%/\xc3\xa9?#+", "12345");
  NodeClient client(kPatient);
  const auto file = client.stat(node.node(), path_of("a b/100%/\xc3\xa9?#+"));
  REQUIRE(file);
  REQUIRE(*file);
  CHECK((*file)->size_bytes == 5);
  CHECK((*client.stat(node.node(), path_of("a b/100%")))->is_directory);
  CHECK((*client.stat(node.node(), ClusterPath()))->is_directory);
  CHECK_FALSE(client.stat(node.node(), path_of("a"))->has_value());
  CHECK(node.server().connections() == 1);
}

TEST_CASE("node client: reads give the bytes asked for, fewer only at the end") {
  const std::string bytes = sample_bytes(300'000);
  MemoryNode node;
  node.add("f", bytes);
  node.add("empty", "");
  NodeClient client(kPatient);
  CHECK(read_at(client, node.node(), "f", 0, 10) == bytes.substr(0, 10));
  CHECK(read_at(client, node.node(), "f", 123'456, 100'000) == bytes.substr(123'456, 100'000));
  CHECK(read_at(client, node.node(), "f", 299'990, 100) == bytes.substr(299'990));
  CHECK(read_at(client, node.node(), "f", 0, 1'000'000) == bytes);
  CHECK(read_at(client, node.node(), "f", 300'000, 10).empty());
  CHECK(read_at(client, node.node(), "f", 1ull << 40, 10).empty());
  CHECK(read_at(client, node.node(), "empty", 0, 10).empty());
  CHECK(read_at(client, node.node(), "f", 0, 0).empty());
  std::string into(10, '\0');
  CHECK(client.read(node.node(), path_of("none"), 0, into).error().code ==
        std::errc::no_such_file_or_directory);
  CHECK(node.server().connections() == 1);
}

TEST_CASE("node client: a server that ignores ranges is read right, and in one pass in order") {
  const std::string bytes = sample_bytes(3'000'000);
  MemoryNode::Manners pyme;
  pyme.ranges = false;
  MemoryNode node(pyme);
  node.add("f", bytes);
  NodeClient client(kPatient);
  for (std::size_t offset = 0; offset < bytes.size(); offset += 100'000) {
    REQUIRE(read_at(client, node.node(), "f", offset, 100'000) == bytes.substr(offset, 100'000));
  }
  CHECK(node.server().requests() == 1);
  // Back, over the end, and past it.
  CHECK(read_at(client, node.node(), "f", 50, 100) == bytes.substr(50, 100));
  CHECK(read_at(client, node.node(), "f", 2'999'990, 100) == bytes.substr(2'999'990));
  CHECK(read_at(client, node.node(), "f", 3'000'000, 100).empty());
  CHECK(read_at(client, node.node(), "f", 4'000'000, 100).empty());
}

TEST_CASE("node client: stream gives the rest of a file from any byte, or stops when told") {
  const std::string bytes = sample_bytes(1'000'000);
  for (const bool ranges : {true, false}) {
    CAPTURE(ranges);
    MemoryNode::Manners manners;
    manners.ranges = ranges;
    MemoryNode node(manners);
    node.add("f", bytes);
    NodeClient client(kPatient);
    for (const std::size_t offset : {0, 1, 999'999, 1'000'000}) {
      std::string got;
      const auto streamed = client.stream(node.node(), path_of("f"), offset, [&](auto piece) {
        got.append(piece.data(), piece.size());
        return true;
      });
      REQUIRE(streamed);
      CHECK(*streamed == bytes.size() - offset);
      CHECK(got == bytes.substr(offset));
    }
    const auto stopped = client.stream(node.node(), path_of("f"), 0, [](auto) { return false; });
    REQUIRE(stopped);
    CHECK(*stopped < bytes.size());
    CHECK(read_at(client, node.node(), "f", 7, 3) == bytes.substr(7, 3));
  }
}

TEST_CASE("node client: a reply that is not the range asked for is refused") {
  Server server([](Server&, HttpStream& stream, const RequestHead&) {
    return reply(stream, 206, "Content-Range: bytes 0-3/100\r\n", "0123");
  });
  NodeClient client(kPatient);
  std::string into(4, '\0');
  CHECK(client.read(server.node(), path_of("f"), 50, into).error().code ==
        std::errc::bad_message);
  CHECK(client.stream(server.node(), path_of("f"), 50, [](auto) { return true; }).error().code ==
        std::errc::bad_message);
}

TEST_CASE("node client: memory and files of any size arrive as they were") {
  MemoryNode node;
  NodeClient client(kPatient);
  for (const std::size_t size : {0, 1, 70'000, 5'000'000}) {
    CAPTURE(size);
    const std::string bytes = sample_bytes(size);
    const std::string name = "m" + std::to_string(size);
    std::uint64_t progress = 0;
    REQUIRE(client.put(node.node(), path_of(name), body_of(bytes),
                       [&](std::uint64_t sent) { progress = sent; }));
    CHECK(node.file(name) == bytes);
    CHECK(progress == size);

    const Fd fd = memory_file("before" + bytes + "behind");
    const std::string file_name = "f" + std::to_string(size);
    REQUIRE(client.put(node.node(), path_of(file_name), FileRange{fd.get(), 6, size}));
    CHECK(node.file(file_name) == bytes);
  }
  CHECK(client.put(node.node(), path_of("m1"), body_of("x")).error().code ==
        std::errc::file_exists);
  CHECK(node.server().connections() == 1);
}

TEST_CASE("node client: a file that shrinks while it is sent is our trouble, not the node's") {
  MemoryNode node;
  NodeClient client(kPatient);
  const Fd fd = memory_file("short");
  CHECK(client.put(node.node(), path_of("f"), FileRange{fd.get(), 0, 100}).error().code ==
        std::errc::operation_canceled);
  CHECK(client.put(node.node(), path_of("f"), FileRange{-1, 0, 100}).error().code ==
        std::errc::operation_canceled);
  CHECK_FALSE(node.has("f"));
  REQUIRE(client.put(node.node(), path_of("f"), body_of("whole")));
}

TEST_CASE("node client: chunked replies and replies up to the close are read to their end") {
  Server server([](Server&, HttpStream& stream, const RequestHead& head) {
    if (head.target() == "/chunked/") {
      return send_text(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "6\r\n{\"a\":[\r\n4\r\n0,5]\r\n1;x=y\r\n}\r\n0\r\n\r\n");
    }
    send_text(stream, "HTTP/1.0 200 OK\r\n\r\n{\"a\":[0,5]}");
    return false;
  });
  NodeClient client(kPatient);
  for (const char* path : {"chunked", "closing", "chunked"}) {
    CAPTURE(path);
    const auto listing = client.list(server.node(), path_of(path), "");
    REQUIRE(listing);
    REQUIRE(*listing);
    CHECK((*listing)->listing.find("a")->size == 5);
  }
}

TEST_CASE("node client: stages go to their addresses, and a lost reply to publish is unclear") {
  std::vector<std::string> seen;
  Server server([&](Server&, HttpStream& stream, const RequestHead& head) {
    const std::string body = receive_body(stream, head);
    seen.push_back(std::string(head.method()) + " " + std::string(head.target()) + " " + body);
    if (head.target().starts_with("/__publish/lost")) return false;
    return reply(stream, head.target().ends_with("taken") ? 405
                         : head.target().ends_with("gone") ? 404 : 200);
  });
  NodeClient client(kPatient);
  const Node& node = server.node();
  CHECK(client.stage(node, "id-1", path_of("a b/f"), body_of("bytes")));
  CHECK(client.publish(node, "id-1", path_of("a b/f")));
  CHECK(client.drop_stage(node, "id-1"));
  CHECK(seen == std::vector<std::string>{"PUT /__stage/id-1/a%20b/f bytes",
                                         "PUT /__publish/id-1/a%20b/f ", "PUT /__drop/id-1 "});
  CHECK(client.publish(node, "id-1", path_of("taken")).error().code == std::errc::file_exists);
  CHECK(client.publish(node, "id-1", path_of("gone")).error().code ==
        std::errc::no_such_file_or_directory);
  CHECK(client.publish(node, "lost", path_of("f")).error().code == std::errc::not_connected);
  CHECK(client.drop_stage(node, "gone").error().code == std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace skein
