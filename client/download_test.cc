#include "client/download.h"

#include <doctest/doctest.h>

#include "client/scripted_server.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

// Lets a GET of the file end after `bytes` of it, with the connection.
void break_off_after(MemoryNode& node, std::size_t bytes) {
  node.interrupt([&node, bytes](ScriptedServer&, HttpStream& stream, const RequestHead& head)
                     -> std::optional<bool> {
    if (head.method() != "GET") return std::nullopt;
    const std::string whole = node.file(std::string(head.target().substr(1)));
    send_text(stream, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(whole.size()) +
                          "\r\n\r\n" + whole.substr(0, bytes));
    return false;
  });
}

void stop(MemoryNode& node) {
  node.interrupt([](ScriptedServer& server, HttpStream&, const RequestHead&) {
    server.stall();
    return std::optional(false);
  });
}

struct Cluster {
  std::string bytes = sample_bytes(1'000'000);
  MemoryNode one{{.ranges = true, .etags = true, .id = "id-1"}};
  MemoryNode two{{.ranges = true, .etags = true, .id = "id-2"}};
  NodeClient client;
  FixedMembership membership;
  Downloader downloader{client, membership};

  explicit Cluster(std::chrono::milliseconds timeout = 10s)
      : client(timeout), membership({one.node(), two.node()}) {
    one.add("f", bytes);
    two.add("f", bytes);
  }

  // The file, or the error.
  std::string get(const std::string& path) {
    std::string got;
    const auto streamed = downloader.stream(path_of(path), [&](std::span<const char> piece) {
      got.append(piece.data(), piece.size());
      return true;
    });
    return streamed ? got : "error: " + streamed.error().what;
  }
};

TEST_CASE("download: a copy that breaks off is gone on with at that byte from the next one") {
  Cluster cluster;
  break_off_after(cluster.one, 400'000);
  std::uint64_t from = 0;
  cluster.two.interrupt([&](ScriptedServer&, HttpStream&, const RequestHead& head)
                            -> std::optional<bool> {
    if (head.method() == "GET" && head.find("Range")) {
      from = std::stoull(std::string(head.find("Range")->substr(6)));
    }
    return std::nullopt;
  });
  CHECK(cluster.get("f") == cluster.bytes);
  CHECK(cluster.membership.reported == std::vector<std::string>{"id-1"});
  CHECK(from > 0);
}

TEST_CASE("download: when the last copy fails too, the caller is told, not given half a file") {
  Cluster cluster;
  break_off_after(cluster.one, 400'000);
  break_off_after(cluster.two, 200'000);
  CHECK(cluster.get("f").starts_with("error: GET /f on "));
}

TEST_CASE("download: copies that differ in size are an error, not a choice") {
  Cluster cluster;
  cluster.two.add("f", "truncated");
  CHECK(cluster.get("f").find("copies differ in size") != std::string::npos);
}

TEST_CASE("download: absence, a directory, and not knowing are told apart") {
  Cluster cluster;
  cluster.one.add("d/x", "1");
  const auto code = [&](const char* path) {
    return cluster.downloader.find(path_of(path)).error().code;
  };
  CHECK(code("none") == std::errc::no_such_file_or_directory);
  CHECK(code("d") == std::errc::is_a_directory);
  FixedMembership half({cluster.one.node(), dead_node()});
  Downloader downloader(cluster.client, half);
  CHECK(downloader.find(path_of("none")).error().code == std::errc::host_unreachable);
  CHECK(half.reported.size() == 1);
  CHECK(downloader.find(path_of("f"))->copies.size() == 1);
  FixedMembership nobody({});
  CHECK(Downloader(cluster.client, nobody).find(path_of("f")).error().code ==
        std::errc::host_unreachable);
}

TEST_CASE("download: the taker can stop, and gets nothing more") {
  Cluster cluster;
  std::uint64_t given = 0;
  const auto streamed = cluster.downloader.stream(path_of("f"), [&](std::span<const char> piece) {
    given += piece.size();
    return false;
  });
  REQUIRE(streamed);
  CHECK(*streamed == given);
  CHECK(given < cluster.bytes.size());
}

TEST_CASE("download: reads go to the next copy when a node stops, within one timeout") {
  Cluster cluster(300ms);
  const auto copies = cluster.downloader.find(path_of("f"));
  REQUIRE(copies);
  stop(cluster.one);
  std::string into(1000, '\0');
  const auto before = std::chrono::steady_clock::now();
  const auto got = cluster.downloader.read(path_of("f"), *copies, 5000, into);
  CHECK(std::chrono::steady_clock::now() - before < 2s);
  REQUIRE(got);
  CHECK(*got == 1000);
  CHECK(into == cluster.bytes.substr(5000, 1000));
  CHECK(cluster.membership.reported == std::vector<std::string>{"id-1"});
}

TEST_CASE("download: a node set aside since the copies were found is asked last") {
  Cluster cluster(300ms);
  const auto copies = cluster.downloader.find(path_of("f"));
  REQUIRE(copies);
  stop(cluster.one);
  FixedMembership without_one({cluster.two.node()});
  Downloader downloader(cluster.client, without_one);
  const int asked = cluster.one.server().requests();
  std::string into(1000, '\0');
  REQUIRE(downloader.read(path_of("f"), *copies, 0, into));
  CHECK(into == cluster.bytes.substr(0, 1000));
  CHECK(cluster.one.server().requests() == asked);
}

TEST_CASE("download: a node that came back at another address is read there") {
  Cluster cluster;
  auto copies = cluster.downloader.find(path_of("f"));
  REQUIRE(copies);
  copies->copies.resize(1);
  copies->copies[0].node.address = dead_node().address;
  std::string into(1000, '\0');
  REQUIRE(cluster.downloader.read(path_of("f"), *copies, 0, into));
  CHECK(into == cluster.bytes.substr(0, 1000));
}

TEST_CASE("download: reads end at the end of the file, and a file that shrank is an error") {
  Cluster cluster;
  const auto copies = cluster.downloader.find(path_of("f"));
  REQUIRE(copies);
  std::string into(1000, '\0');
  const auto last = cluster.downloader.read(path_of("f"), *copies, 999'900, into);
  REQUIRE(last);
  CHECK(*last == 100);
  CHECK(*cluster.downloader.read(path_of("f"), *copies, 1'000'000, into) == 0);
  cluster.one.add("f", "shrunk");
  cluster.two.add("f", "shrunk");
  CHECK(cluster.downloader.read(path_of("f"), *copies, 0, into).error().code ==
        std::errc::io_error);
  CHECK(cluster.downloader.read(path_of("f"), Located{}, 0, into).error().code ==
        std::errc::host_unreachable);
}

// One node answers, one is named and not alive.
class OneSetAside : public FixedMembership {
 public:
  OneSetAside(const Node& alive, Node set_aside)
      : FixedMembership({alive}), set_aside_(std::move(set_aside)) {}
  std::vector<NodeState> states() const override {
    return {{set_aside_, NodeState::Kind::kSetAside, "static", "silent"}};
  }

 private:
  const Node set_aside_;
};

TEST_CASE("download: while a node is set aside, nobody can say that a file is nowhere") {
  MemoryNode one{{.id = "id-1"}};
  MemoryNode two{{.id = "id-2"}};
  one.add("f", "x");
  NodeClient client(10s);
  OneSetAside membership(one.node(), two.node());
  Downloader downloader(client, membership);
  CHECK(downloader.find(path_of("f")).ok());
  const auto found = downloader.find(path_of("g"));
  REQUIRE_FALSE(found);
  CHECK(found.error().code == std::errc::host_unreachable);
  CHECK(found.error().what.find(two.node().label()) != std::string::npos);
}

}  // namespace
}  // namespace skein
