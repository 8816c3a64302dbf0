#include "client/upload.h"

#include <doctest/doctest.h>

#include "client/scripted_server.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

using Action = std::function<bool(ScriptedServer&, HttpStream&, const RequestHead&)>;

// Interrupts PUTs with `action`; everything else is the node's own answer.
void on_put(MemoryNode& node, Action action) {
  node.interrupt([action](ScriptedServer& server, HttpStream& stream, const RequestHead& head)
                     -> std::optional<bool> {
    if (head.method() != "PUT") return std::nullopt;
    return action(server, stream, head);
  });
}

// Stores the body, or other bytes under the name, and closes without a reply.
Action store_and_hang_up(MemoryNode& node, std::optional<std::string> other = {}) {
  return [&node, other](ScriptedServer&, HttpStream& stream, const RequestHead& head) {
    const std::string body = receive_body(stream, head);
    node.add(std::string(head.target().substr(1)), other ? *other : body);
    return false;
  };
}

Action refuse(int status) {
  return [status](ScriptedServer&, HttpStream& stream, const RequestHead& head) {
    receive_body(stream, head);
    return reply(stream, status);
  };
}

// A client of two nodes that are written in the order given.
struct Cluster {
  MemoryNode one{{.ranges = true, .etags = true, .id = "id-1"}};
  MemoryNode two{{.ranges = true, .etags = true, .id = "id-2"}};
  NodeClient client;
  ManualClock time;
  Placement placement{time.clock()};
  FixedMembership membership;
  Uploader uploader{client, placement, membership};
  std::string bytes = sample_bytes(100'000);

  explicit Cluster(std::chrono::milliseconds timeout = 10s)
      : client(timeout), membership({one.node(), two.node()}) {}

  Result<Node> upload(const std::string& path) {
    time.advance(1ms);
    return uploader.upload(path_of(path), std::span<const char>(bytes));
  }
};

TEST_CASE("upload: files go to the nodes in turn") {
  Cluster cluster;
  REQUIRE(cluster.upload("a"));
  REQUIRE(cluster.upload("b"));
  const auto third = cluster.upload("c");
  REQUIRE(third);
  CHECK(third->id == "id-1");
  CHECK(cluster.one.file("a") == cluster.bytes);
  CHECK(cluster.two.file("b") == cluster.bytes);
  CHECK_FALSE(cluster.one.has("b"));
  CHECK(cluster.membership.reported.empty());
}

TEST_CASE("upload: a name that any node has is refused, as a file and as a directory") {
  Cluster cluster;
  cluster.two.add("taken", "theirs");
  cluster.two.add("folder/x", "1");
  CHECK(cluster.upload("taken").error().code == std::errc::file_exists);
  CHECK(cluster.upload("folder").error().code == std::errc::file_exists);
  CHECK(cluster.upload("").error().code == std::errc::invalid_argument);
  CHECK(cluster.upload(".skein/x").error().code == std::errc::invalid_argument);
  CHECK(cluster.two.file("taken") == "theirs");
  CHECK_FALSE(cluster.one.has("taken"));
}

TEST_CASE("upload: a full node is skipped without being called broken; all full is no space") {
  Cluster cluster;
  on_put(cluster.one, refuse(507));
  const auto node = cluster.upload("a");
  REQUIRE(node);
  CHECK(node->id == "id-2");
  CHECK(cluster.membership.reported.empty());
  on_put(cluster.two, refuse(507));
  CHECK(cluster.upload("b").error().code == std::errc::no_space_on_device);
  CHECK(cluster.membership.reported.empty());
}

TEST_CASE("upload: another writer who was first in the last moment is not overwritten or evaded") {
  Cluster cluster;
  on_put(cluster.one, refuse(405));
  CHECK(cluster.upload("a").error().code == std::errc::file_exists);
  CHECK_FALSE(cluster.two.has("a"));
}

TEST_CASE("upload: a node that breaks off gets no second file, and the next one has it whole") {
  Cluster cluster;
  on_put(cluster.one, [](ScriptedServer&, HttpStream& stream, const RequestHead&) {
    return reset(stream);
  });
  const auto node = cluster.upload("a");
  REQUIRE(node);
  CHECK(node->id == "id-2");
  CHECK(cluster.two.file("a") == cluster.bytes);
  CHECK(cluster.membership.reported == std::vector<std::string>{"id-1"});
}

TEST_CASE("upload: stored but the reply lost is success, and no second copy is made") {
  Cluster cluster;
  on_put(cluster.one, store_and_hang_up(cluster.one));
  const auto node = cluster.upload("a");
  REQUIRE(node);
  CHECK(node->id == "id-1");
  CHECK_FALSE(cluster.two.has("a"));
}

TEST_CASE("upload: other bytes of equal size under the name are never taken for ours") {
  Cluster cluster;
  std::string other = cluster.bytes;
  other.back() ^= 1;
  on_put(cluster.one, store_and_hang_up(cluster.one, other));
  CHECK(cluster.upload("a").error().code == std::errc::file_exists);
  CHECK(cluster.one.file("a") == other);
  CHECK_FALSE(cluster.two.has("a"));
}

TEST_CASE("upload: a truncated file left by another make of server is not hidden by a copy") {
  MemoryNode pyme({.ranges = false, .etags = false, .id = ""});
  MemoryNode skein({.ranges = true, .etags = true, .id = "id-2"});
  const std::string bytes = sample_bytes(1'000'000);
  on_put(pyme, [&](ScriptedServer&, HttpStream& stream, const RequestHead& head) {
    std::string some(1000, '\0');
    const auto got = stream.read(some, Deadline::after(5s));
    pyme.add(std::string(head.target().substr(1)), some.substr(0, got ? *got : 0));
    return reset(stream);
  });
  NodeClient client(10s);
  Placement placement(real_clock());
  FixedMembership membership({pyme.node(), skein.node()});
  Uploader uploader(client, placement, membership);
  const auto node = uploader.upload(path_of("a"), std::span<const char>(bytes));
  REQUIRE_FALSE(node);
  CHECK(node.error().code == std::errc::file_exists);
  CHECK_FALSE(skein.has("a"));
}

TEST_CASE("upload: a node silent when the name is checked does not stop the upload") {
  Cluster cluster(300ms);
  cluster.one.interrupt([](ScriptedServer& server, HttpStream&, const RequestHead&) {
    server.stall();
    return std::optional(false);
  });
  const auto node = cluster.upload("a");
  REQUIRE(node);
  CHECK(node->id == "id-2");
  CHECK(cluster.membership.reported == std::vector<std::string>{"id-1"});
}

TEST_CASE("upload: a node that goes silent after the body costs bounded time and no data") {
  Cluster cluster(300ms);
  on_put(cluster.one, [](ScriptedServer& server, HttpStream&, const RequestHead&) {
    server.stall();
    return false;
  });
  const auto before = std::chrono::steady_clock::now();
  const auto node = cluster.upload("a");
  CHECK(std::chrono::steady_clock::now() - before < 3s);
  REQUIRE(node);
  CHECK(node->id == "id-2");
  CHECK(cluster.two.file("a") == cluster.bytes);
}

TEST_CASE("upload: with nobody left the error tells why") {
  NodeClient client(300ms);
  Placement placement(real_clock());
  const std::string bytes = "x";
  {
    FixedMembership nobody({});
    Uploader uploader(client, placement, nobody);
    CHECK(uploader.upload(path_of("a"), std::span<const char>(bytes)).error().code ==
          std::errc::host_unreachable);
  }
  FixedMembership dead({dead_node(), dead_node()});
  Uploader uploader(client, placement, dead);
  CHECK(uploader.upload(path_of("a"), std::span<const char>(bytes)).error().code ==
        std::errc::host_unreachable);
  CHECK(dead.reported.size() == 2);
}

TEST_CASE("upload: our own unreadable file is not blamed on the nodes") {
  Cluster cluster;
  const auto node = cluster.uploader.upload(path_of("a"), FileRange{-1, 0, 1'000'000});
  REQUIRE_FALSE(node);
  CHECK(node.error().code == std::errc::operation_canceled);
  CHECK(cluster.membership.reported.empty());
  CHECK_FALSE(cluster.one.has("a"));
  CHECK_FALSE(cluster.two.has("a"));
}

TEST_CASE("upload: many threads at once lose nothing and spread over the nodes") {
  Cluster cluster;
  std::atomic<int> stored = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 25; ++i) {
          const std::string name = "f" + std::to_string(t) + "-" + std::to_string(i);
          const std::string bytes = sample_bytes(1000, static_cast<unsigned>(t * 100 + i));
          const auto node = cluster.uploader.upload(path_of(name), std::span<const char>(bytes));
          const bool on_one = cluster.one.file(name) == bytes;
          const bool on_two = cluster.two.file(name) == bytes;
          if (node && on_one != on_two) ++stored;
        }
      });
    }
  }
  CHECK(stored == 200);
}

}  // namespace
}  // namespace skein
