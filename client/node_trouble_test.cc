// What becomes of the verbs when the node, or the way to it, fails.
#include "client/node_client.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "client/scripted_server.h"
#include "core/socket.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

using Server = ScriptedServer;

// Long enough for a busy machine, short enough to wait for in the tests that mean to time out.
constexpr auto kPatient = 10s;
constexpr auto kShort = 200ms;

TEST_CASE("node client: a refusal that comes before the body is sent ends the sending") {
  for (const int status : {405, 507, 403}) {
    CAPTURE(status);
    Server server([&](Server& server, HttpStream& stream, const RequestHead&) {
      reply(stream, status);
      server.stall();  // reads nothing of the body
      return false;
    });
    NodeClient client(kPatient);
    const std::string bytes(64 << 20, 'x');
    std::uint64_t progress = 0;
    const auto put = client.put(server.node(), path_of("f"), body_of(bytes),
                                [&](std::uint64_t sent) { progress = sent; });
    REQUIRE_FALSE(put);
    const std::errc expected = status == 405   ? std::errc::file_exists
                               : status == 507 ? std::errc::no_space_on_device
                                               : std::errc::permission_denied;
    CHECK(put.error().code == expected);
    CHECK(progress < bytes.size());
  }
}

TEST_CASE("node client: a server that refuses and closes at once is never taken for success") {
  Server server([&](Server&, HttpStream& stream, const RequestHead&) {
    reply(stream, 507, "Connection: close\r\n");
    return false;
  });
  NodeClient client(kPatient);
  const Fd fd(::memfd_create("sparse", MFD_CLOEXEC));
  REQUIRE(::ftruncate(fd.get(), 64 << 20) == 0);
  // The kernel may throw the reply away with the reset; then it is trouble, never success.
  const auto put = client.put(server.node(), path_of("f"), FileRange{fd.get(), 0, 64 << 20});
  REQUIRE_FALSE(put);
  const bool expected = put.error().code == std::errc::no_space_on_device ||
                        put.error().code == std::errc::connection_reset ||
                        put.error().code == std::errc::broken_pipe;
  CHECK(expected);
}

TEST_CASE("node client: a server that claims success before it has the body is not believed") {
  Server server([&](Server& server, HttpStream& stream, const RequestHead&) {
    reply(stream, 200);
    server.stall();
    return false;
  });
  NodeClient client(kPatient);
  CHECK(client.put(server.node(), path_of("f"), body_of(std::string(64 << 20, 'x'))).error().code ==
        std::errc::bad_message);
}

TEST_CASE("node client: interim replies before and while a body is sent are passed over") {
  Server server([&](Server&, HttpStream& stream, const RequestHead& head) {
    send_text(stream, "HTTP/1.1 100 Continue\r\n\r\n");
    receive_body(stream, head);
    send_text(stream, "HTTP/1.1 102 Processing\r\n\r\n");
    return reply(stream, 200);
  });
  NodeClient client(kPatient);
  CHECK(client.put(server.node(), path_of("f"), body_of(sample_bytes(8'000'000))));
  CHECK(client.make_directory(server.node(), path_of("d")));
  CHECK(server.connections() == 1);
}

TEST_CASE("node client: a body sent whole and no reply is said to be unclear") {
  Server server([](Server&, HttpStream& stream, const RequestHead& head) {
    receive_body(stream, head);
    return false;
  });
  NodeClient client(kPatient);
  CHECK(client.put(server.node(), path_of("f"), body_of("bytes")).error().code ==
        std::errc::not_connected);
}

TEST_CASE("node client: a kept connection that the server closed is replaced, once") {
  std::atomic<int> served = 0;
  Server server([&](Server&, HttpStream& stream, const RequestHead& head) {
    // The second request finds the connection of the first closing under it.
    if (++served == 2) return false;
    receive_body(stream, head);
    return reply(stream, 200);
  });
  NodeClient client(kPatient);
  REQUIRE(client.make_directory(server.node(), path_of("d")));
  CHECK(client.make_directory(server.node(), path_of("e")));
  CHECK(server.requests() == 3);
  CHECK(server.connections() == 2);
}

TEST_CASE("node client: a name taken on the second try may be ours, and is not called a failure") {
  std::atomic<int> served = 0;
  Server server([&](Server&, HttpStream& stream, const RequestHead& head) {
    receive_body(stream, head);
    if (++served == 2) return reset(stream);  // stored, and the reply lost
    return reply(stream, served == 3 ? 405 : 200);
  });
  NodeClient client(kPatient);
  REQUIRE(client.put(server.node(), path_of("f"), body_of("1")));
  CHECK(client.put(server.node(), path_of("g"), body_of("2")).error().code ==
        std::errc::not_connected);
  CHECK(served == 3);
}

TEST_CASE("node client: trouble of the connection has a name and leaves no call hanging") {
  NodeClient client(kShort);
  std::string into(1000, '\0');
  SUBCASE("nobody listens") {
    const Node node = dead_node();
    CHECK(client.stat(node, path_of("f")).error().code == std::errc::connection_refused);
    CHECK(client.read(node, path_of("f"), 0, into).error().code ==
          std::errc::connection_refused);
    CHECK(client.put(node, path_of("f"), body_of("x")).error().code ==
          std::errc::connection_refused);
  }
  SUBCASE("no reply") {
    Server server([](Server& server, HttpStream&, const RequestHead&) {
      server.stall();
      return false;
    });
    CHECK(client.list(server.node(), path_of("d"), "").error().code == std::errc::timed_out);
    CHECK(client.read(server.node(), path_of("f"), 0, into).error().code == std::errc::timed_out);
    CHECK(client.put(server.node(), path_of("f"), body_of(std::string(64 << 20, 'x')))
              .error().code == std::errc::timed_out);
    CHECK(client.put(server.node(), path_of("f"), body_of("small")).error().code ==
          std::errc::not_connected);
  }
  SUBCASE("a reply that trickles") {
    Server server([](Server&, HttpStream& stream, const RequestHead&) {
      send_text(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
      // One byte each few milliseconds, for as long as the client takes them.
      while (send_text(stream, " ")) {
        char byte;
        const auto closed = stream.read({&byte, 1}, Deadline::after(5ms));
        if (closed || closed.error().code != std::errc::timed_out) return false;
      }
      return false;
    });
    CHECK(client.list(server.node(), path_of("d"), "").error().code == std::errc::timed_out);
    CHECK(client.read(server.node(), path_of("f"), 0, into).error().code == std::errc::timed_out);
    CHECK(client.stream(server.node(), path_of("f"), 0, [](auto) { return true; }).error().code ==
          std::errc::timed_out);
  }
  SUBCASE("no HTTP") {
    Server server([](Server&, HttpStream& stream, const RequestHead&) {
      send_text(stream, "220 mail.example ESMTP\r\n\r\n");
      return false;
    });
    CHECK(client.list(server.node(), path_of("d"), "").error().code == std::errc::bad_message);
    CHECK(client.read(server.node(), path_of("f"), 0, into).error().code ==
          std::errc::bad_message);
  }
  SUBCASE("a reply cut short") {
    Server server([](Server&, HttpStream& stream, const RequestHead&) {
      send_text(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"only");
      return false;
    });
    CHECK(client.list(server.node(), path_of("d"), "").error().code ==
          std::errc::connection_reset);
    CHECK(client.read(server.node(), path_of("f"), 0, into).error().code ==
          std::errc::connection_reset);
    CHECK(client.stream(server.node(), path_of("f"), 0, [](auto) { return true; }).error().code ==
          std::errc::connection_reset);
  }
}

// The server runs in a process of its own, which is stopped as a paused virtual machine is: its
// kernel goes on accepting connections and bytes.
TEST_CASE("node client: a stopped process costs each call no more than its timeout") {
  auto listening = listen_tcp({"127.0.0.1", 0}, 64);
  REQUIRE(listening);
  Node node;
  node.address = *local_address(listening->get());
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (;;) {
      if (!wait_ready(listening->get(), POLLIN, Deadline::after(60s))) ::_exit(1);
      HttpStream stream(Fd(::accept4(listening->get(), nullptr, nullptr, SOCK_NONBLOCK)));
      for (;;) {
        const auto text = stream.read_head(Deadline::after(1s));
        if (!text || !*text) break;
        reply(stream, 200, {}, "{\"a\":[0,5]}");
      }
    }
  }
  listening->reset();
  NodeClient client(300ms);
  CHECK(client.list(node, path_of("d"), "").ok());
  REQUIRE(::kill(child, SIGSTOP) == 0);
  const auto timed = [](auto&& call) {
    const auto before = std::chrono::steady_clock::now();
    const auto code = call();
    CHECK(std::chrono::steady_clock::now() - before < 3s);
    return code;
  };
  std::string into(10, '\0');
  CHECK(timed([&] { return client.list(node, path_of("d"), "").error().code; }) ==
        std::errc::timed_out);
  CHECK(timed([&] { return client.stat(node, path_of("d")).error().code; }) ==
        std::errc::timed_out);
  CHECK(timed([&] { return client.read(node, path_of("d"), 0, into).error().code; }) ==
        std::errc::timed_out);
  const std::string large(64 << 20, 'x');
  CHECK(timed([&] { return client.put(node, path_of("f"), body_of(large)).error().code; }) ==
        std::errc::timed_out);
  CHECK(timed([&] { return client.put(node, path_of("f"), body_of("small")).error().code; }) ==
        std::errc::not_connected);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace skein
