#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <thread>

#include "core/http_body.h"
#include "core/http_head.h"
#include "core/http_stream.h"
#include "core/socket.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

Deadline soon() { return Deadline::after(2000ms); }

// Two ends of a connection: a stream to test, and the raw peer.
struct Connection {
  HttpStream stream;
  Fd peer;

  Connection() : Connection(make_pair()) {}
  void send(std::string_view text) {
    REQUIRE(::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }

 private:
  static std::pair<Fd, Fd> make_pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    return {Fd(fds[0]), Fd(fds[1])};
  }
  explicit Connection(std::pair<Fd, Fd> fds)
      : stream(std::move(fds.first)), peer(std::move(fds.second)) {}
};

std::errc refusal(const std::string& text) {
  const auto head = RequestHead::parse(text);
  REQUIRE_FALSE(head);
  return head.error().code;
}

TEST_CASE("request head: method, target, fields and framing") {
  const auto head = RequestHead::parse(
      "PUT /a%20b?x HTTP/1.1\r\nContent-Length: 12\r\nx-odd:  padded \t\r\nConnection: a, Close\r\n\r\n");
  REQUIRE(head);
  CHECK(head->method() == "PUT");
  CHECK(head->target() == "/a%20b?x");
  CHECK(*head->find("X-Odd") == "padded");
  CHECK(head->framing().kind == BodyFraming::Kind::kLength);
  CHECK(head->framing().length == 12);
  CHECK_FALSE(head->keep_alive());
}

TEST_CASE("request head: raw UTF-8 targets without Host are taken, as PYME's writers send them") {
  const auto head = RequestHead::parse("PUT /s\xc3\xa9rie/x HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  REQUIRE(head);
  CHECK(head->target() == "/s\xc3\xa9rie/x");
  CHECK(head->keep_alive());
}

TEST_CASE("request head: survives being moved") {
  auto head = RequestHead::parse("GET /x HTTP/1.0\r\nA: b\r\n\r\n");
  REQUIRE(head);
  const RequestHead moved = std::move(*head);
  CHECK(moved.target() == "/x");
  CHECK(*moved.find("a") == "b");
  CHECK_FALSE(moved.keep_alive());
}

TEST_CASE("request head: what two readers could frame differently is refused") {
  const std::string line = "PUT /x HTTP/1.1\r\n";
  for (const char* fields :
       {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 0x5\r\n",
        "Content-Length: -1\r\n", "Content-Length:\r\n", "Content-Length: 99999999999999999999\r\n",
        "Content-Length : 5\r\n", " folded: x\r\n", "A: b\r\n continued\r\n", "no colon\r\n", ": x\r\n",
        "A: b\rc\r\n", "A: b\nB: c\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"}) {
    CAPTURE(fields);
    CHECK(refusal(line + fields + "\r\n") == std::errc::bad_message);
  }
  CHECK(refusal(line + "Transfer-Encoding: gzip, chunked\r\n\r\n") == std::errc::not_supported);
  CHECK(refusal("PUT /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == std::errc::bad_message);
}

TEST_CASE("request head: malformed request lines and versions are refused") {
  for (const char* line : {"", "GET", "GET /x", "GET  HTTP/1.1", "GET /a b HTTP/1.1", "G\x01T / HTTP/1.1",
                           "GET / HTTX/1.1", "GET / HTTP/1.1 "}) {
    CAPTURE(line);
    CHECK(refusal(std::string(line) + "\r\n\r\n") == std::errc::bad_message);
  }
  CHECK(refusal("GET / HTTP/2.0\r\n\r\n") == std::errc::protocol_not_supported);
  CHECK(refusal("GET / HTTP/1.1\r\nA: b\r\n") == std::errc::bad_message);
}

TEST_CASE("response head: bodiless statuses and HEAD have no body, no length means until close") {
  CHECK(ResponseHead::parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET")->framing().length == 3);
  CHECK(ResponseHead::parse("HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", "HEAD")->framing().kind ==
        BodyFraming::Kind::kNone);
  CHECK(ResponseHead::parse("HTTP/1.1 304 Not Modified\r\n\r\n", "GET")->framing().kind ==
        BodyFraming::Kind::kNone);
  const auto open_ended = ResponseHead::parse("HTTP/1.0 200 OK\r\n\r\n", "GET");
  CHECK(open_ended->framing().kind == BodyFraming::Kind::kUntilClose);
  CHECK_FALSE(open_ended->keep_alive());
  for (const char* line : {"HTTP/1.1 20 OK", "HTTP/1.1 099 x", "HTTP/1.1 200OK", "HTTP/1.1", "ICY 200 OK"}) {
    CAPTURE(line);
    CHECK_FALSE(ResponseHead::parse(std::string(line) + "\r\n\r\n", "GET"));
  }
}

TEST_CASE("stream: pipelined messages are all kept, however the bytes are cut") {
  const std::string one = "PUT /x HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
  for (std::size_t cut = 1; cut < one.size() * 3; ++cut) {
    CAPTURE(cut);
    Connection c;
    const std::string all = one + one + one;
    c.send(all.substr(0, cut));
    std::jthread late([&] { c.send(all.substr(cut)); });
    for (int i = 0; i < 3; ++i) {
      const auto head = c.stream.read_head(soon());
      REQUIRE(head);
      REQUIRE(*head);
      const auto parsed = RequestHead::parse(**head);
      REQUIRE(parsed);
      std::array<char, 16> body{};
      BodyReader reader(c.stream, parsed->framing());
      REQUIRE(*reader.read_full(body, soon()) == 4);
      REQUIRE(std::string(body.data()) == "body");
      REQUIRE(reader.done());
    }
  }
}

TEST_CASE("stream: a close between messages is an end, inside one an error") {
  Connection quiet;
  quiet.peer.reset();
  CHECK_FALSE(quiet.stream.read_head(soon())->has_value());
  Connection cut;
  cut.send("GET / HT");
  cut.peer.reset();
  CHECK(cut.stream.read_head(soon()).error().code == std::errc::connection_reset);
}

TEST_CASE("stream: a head without end is refused at its limit, a silent peer at the deadline") {
  Connection c;
  std::jthread sender([&] {
    const std::string junk(kMaxHeadBytes + 1, 'x');
    std::string_view rest = junk;
    while (!rest.empty()) {
      const ssize_t n = ::send(c.peer.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
      if (n <= 0 && !wait_ready(c.peer.get(), POLLOUT, soon())) return;
    }
  });
  CHECK(c.stream.read_head(soon()).error().code == std::errc::message_size);
  Connection silent;
  CHECK(silent.stream.read_head(Deadline::after(20ms)).error().code == std::errc::timed_out);
}

TEST_CASE("body: chunks, extensions and trailers are read to the exact end") {
  Connection c;
  c.send("3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\nNEXT");
  BodyReader reader(c.stream, {BodyFraming::Kind::kChunked, 0});
  std::array<char, 64> body{};
  REQUIRE(*reader.read_full(body, soon()) == 13);
  CHECK(std::string(body.data(), 13) == "abc0123456789");
  CHECK(reader.done());
  CHECK(c.stream.buffered() == "NEXT");
}

TEST_CASE("body: malformed chunks are refused") {
  for (const char* text : {"x\r\n", "3\r\nabcd\r\n", "-1\r\n", "FFFFFFFFFFFFFFFFF\r\n", "\r\n", "3 x\r\nab\n"}) {
    CAPTURE(text);
    Connection c;
    c.send(text);
    c.peer.reset();
    BodyReader reader(c.stream, {BodyFraming::Kind::kChunked, 0});
    std::array<char, 64> body{};
    CHECK_FALSE(reader.read_full(body, soon()));
  }
}

TEST_CASE("body: a chunked body that pauses anywhere is read on without loss") {
  const std::string wire = "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: t\r\n\r\nNEXT";
  Connection c;
  BodyReader body(c.stream, {BodyFraming::Kind::kChunked, 0});
  std::string got;
  for (const char byte : wire) {
    c.send(std::string_view(&byte, 1));
    std::array<char, 8> piece{};
    while (!body.done()) {
      const auto n = body.read(piece, Deadline::after(0ms));
      if (!n) {
        REQUIRE(n.error().code == std::errc::timed_out);
        break;
      }
      got.append(piece.data(), *n);
    }
  }
  CHECK(body.done());
  CHECK(got == "hello!");
  REQUIRE(c.stream.fill());
  CHECK(c.stream.buffered() == "NEXT");
}

TEST_CASE("stream: draining takes what the peer sent up to the limit, and loses no byte") {
  Connection c;
  const int room = 8 << 20;
  ::setsockopt(c.peer.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  std::string sent(700'000, 0);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7919 >> 8);
  constexpr std::size_t kMost = 256 * 1024;
  std::size_t given = 0;
  std::string got;
  while (got.size() < sent.size()) {
    const ssize_t n = ::send(c.peer.get(), sent.data() + given, sent.size() - given,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) given += static_cast<std::size_t>(n);
    const auto filled = c.stream.drain(kMost);
    REQUIRE(filled);
    CHECK(c.stream.buffered().size() <= kMost);
    if (*filled == HttpStream::Fill::kFull) CHECK(c.stream.buffered().size() >= kMost / 2);
    const std::size_t taken = std::min<std::size_t>(c.stream.buffered().size(), 50'000);
    got += c.stream.buffered().substr(0, taken);
    c.stream.consume(taken);
  }
  CHECK(got == sent);
  c.stream.shrink();
  c.send("GET / HTTP/1.1\r\n\r\n");
  const auto head = c.stream.read_head(soon());
  REQUIRE(head);
  CHECK(**head == "GET / HTTP/1.1\r\n\r\n");
}

TEST_CASE("body: one that is cut short is an error, never a short success") {
  Connection c;
  c.send("abc");
  c.peer.reset();
  BodyReader reader(c.stream, {BodyFraming::Kind::kLength, 4});
  std::array<char, 8> body{};
  CHECK(reader.read_full(body, soon()).error().code == std::errc::connection_reset);
}

TEST_CASE("socket: a listener's kernel-picked port can be connected to, a closed one refuses") {
  auto listener = listen_tcp({"127.0.0.1", 0}, 8);
  REQUIRE(listener);
  const auto address = local_address(listener->get());
  REQUIRE(address);
  CHECK(address->port != 0);
  CHECK(connect_tcp(*address, soon()));
  CHECK(listen_tcp(*address, 8).error().code == std::errc::address_in_use);
  listener->reset();
  CHECK(connect_tcp(*address, soon()).error().code == std::errc::connection_refused);
}

}  // namespace
}  // namespace skein
