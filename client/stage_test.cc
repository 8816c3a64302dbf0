// The verbs of stages (docs/wire.md, "Stages"): what they send, and what their errors mean.
#include <doctest/doctest.h>

#include <atomic>
#include <vector>

#include "client/node_client.h"
#include "client/scripted_server.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

using Server = ScriptedServer;

constexpr auto kPatient = 10s;

// Notes each request as "target|Content-Range|body" and answers what `answer` says.
struct Recorder {
  struct Answer {
    int status = 200;
    std::string headers = {};
  };
  Answer answer;
  std::vector<std::string> seen;
  Server server{[this](Server&, HttpStream& stream, const RequestHead& head) {
    const std::string body = receive_body(stream, head);
    seen.push_back(std::string(head.target()) + "|" +
                   std::string(head.find("Content-Range").value_or("")) + "|" + body);
    return reply(stream, answer.status, answer.headers);
  }};
};

TEST_CASE("stages: a piece goes to its place in the file, and the last one tells the length") {
  Recorder node;
  NodeClient client(kPatient);
  const Fd file = memory_file("0123456789");
  CHECK(client.resize_stage(node.server.node(), "id", path_of("a b/f"), 0));
  CHECK(client.stage_piece(node.server.node(), "id", path_of("a b/f"), {file.get(), 0, 4},
                           std::nullopt));
  CHECK(client.stage_piece(node.server.node(), "id", path_of("a b/f"), {file.get(), 4, 6}, 10));
  CHECK(client.resize_stage(node.server.node(), "id", path_of("a b/f"), 7));
  CHECK(node.seen == std::vector<std::string>{"/__piece/id/a%20b/f|bytes */0|",
                                              "/__piece/id/a%20b/f|bytes 0-3/*|0123",
                                              "/__piece/id/a%20b/f|bytes 4-9/10|456789",
                                              "/__piece/id/a%20b/f|bytes */7|"});
  CHECK(node.server.connections() == 1);
}

TEST_CASE("stages: the checksum of the whole stage is told where the node knows it") {
  Recorder node;
  NodeClient client(kPatient);
  const Fd file = memory_file("bytes");
  const FileRange bytes{file.get(), 0, 5};
  const auto piece = [&] {
    return client.stage_piece(node.server.node(), "id", path_of("f"), bytes, std::nullopt);
  };
  node.answer.headers = "Repr-Digest: xxh3-64=:AAAAAAAAAAE=:\r\n";
  const auto known = piece();
  REQUIRE(known);
  CHECK(*known == 1u);
  CHECK(*client.resize_stage(node.server.node(), "id", path_of("f"), 5) == 1u);
  for (const char* none : {"", "Repr-Digest: xxh3-64=:garbage:\r\n"}) {
    node.answer.headers = none;
    const auto unknown = piece();
    REQUIRE(unknown);
    CHECK_FALSE(unknown->has_value());
  }
}

TEST_CASE("stages: each refusal has its error, of a piece and of a length") {
  const std::vector<std::pair<int, std::errc>> meanings{
      {404, std::errc::no_such_file_or_directory},
      {405, std::errc::file_exists},
      {507, std::errc::no_space_on_device},
      {403, std::errc::permission_denied}};
  NodeClient client(kPatient);
  const Fd file = memory_file("bytes");
  for (const auto& [status, code] : meanings) {
    CAPTURE(status);
    Recorder node;
    node.answer.status = status;
    const Node& to = node.server.node();
    CHECK(client.stage_piece(to, "id", path_of("f"), {file.get(), 0, 5}, 5).error().code == code);
    CHECK(client.resize_stage(to, "id", path_of("f"), 5).error().code == code);
  }
}

TEST_CASE("stages: a file that became shorter is the caller's fault, and no success") {
  Recorder node;
  NodeClient client(kPatient);
  const Fd file = memory_file("bytes");
  CHECK(client.stage_piece(node.server.node(), "id", path_of("f"), {file.get(), 0, 6}, 6)
            .error().code == std::errc::operation_canceled);
}

TEST_CASE("stages: a reply that never comes is trouble of the node, for a stage may be repeated") {
  Server server([](Server&, HttpStream& stream, const RequestHead& head) {
    receive_body(stream, head);
    return false;
  });
  NodeClient client(kPatient);
  const Fd file = memory_file("bytes");
  const Node& node = server.node();
  CHECK(client.stage(node, "id", path_of("f"), body_of("bytes")).error().code ==
        std::errc::connection_reset);
  CHECK(client.stage_piece(node, "id", path_of("f"), {file.get(), 0, 5}, 5).error().code ==
        std::errc::connection_reset);
  CHECK(client.resize_stage(node, "id", path_of("f"), 0).error().code ==
        std::errc::connection_reset);
}

// A stage takes no name: one that is taken on the second try was so on the first.
TEST_CASE("stages: a taken name is told as such, also on the second try") {
  std::atomic<int> served = 0;
  Server server([&](Server&, HttpStream& stream, const RequestHead& head) {
    receive_body(stream, head);
    if (++served % 3 == 2) return reset(stream);  // the kept connection breaks
    return reply(stream, served % 3 == 0 ? 405 : 200);
  });
  NodeClient client(kPatient);
  const Fd file = memory_file("bytes");
  const Node& node = server.node();
  REQUIRE(client.make_directory(node, path_of("d")));
  CHECK(client.stage(node, "id", path_of("f"), body_of("bytes")).error().code ==
        std::errc::file_exists);
  REQUIRE(client.make_directory(node, path_of("d")));
  CHECK(client.stage_piece(node, "id", path_of("f"), {file.get(), 0, 5}, 5).error().code ==
        std::errc::file_exists);
  REQUIRE(client.make_directory(node, path_of("d")));
  CHECK(client.resize_stage(node, "id", path_of("f"), 0).error().code == std::errc::file_exists);
  CHECK(served == 9);
}

}  // namespace
}  // namespace skein
