#include "core/lane.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace skein {
namespace {

using namespace std::chrono_literals;

struct Pair {
  Fd a, b;
  Pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    a.reset(fds[0]);
    b.reset(fds[1]);
  }
};

Deadline soon() { return Deadline::after(2000ms); }

TEST_CASE("lane: a request arrives as it was sent") {
  Pair pair;
  const LaneRequest sent{LaneVerb::kSeal, 42, 1ull << 40, "a/b c"};
  REQUIRE(send_request(pair.a.get(), sent, soon()));
  const auto got = receive_request(pair.b.get(), soon());
  REQUIRE(got);
  REQUIRE(*got);
  CHECK((*got)->verb == LaneVerb::kSeal);
  CHECK((*got)->stage == 42);
  CHECK((*got)->size_bytes == 1ull << 40);
  CHECK((*got)->path == "a/b c");
}

TEST_CASE("lane: a reply passes a descriptor that stays usable") {
  Pair pair;
  Fd file(::memfd_create("lane", MFD_CLOEXEC));
  REQUIRE(::write(file.get(), "bytes", 5) == 5);
  LaneReply reply;
  reply.size_bytes = 5;
  reply.fd = std::move(file);
  REQUIRE(send_reply(pair.a.get(), reply, soon()));
  reply.fd.reset();
  const auto got = receive_reply(pair.b.get(), soon());
  REQUIRE(got);
  CHECK(got->error == 0);
  std::array<char, 8> bytes{};
  REQUIRE(::pread(got->fd.get(), bytes.data(), bytes.size(), 0) == 5);
  CHECK(std::string(bytes.data()) == "bytes");
  CHECK((::fcntl(got->fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("lane: bytes that are no message are refused, a closed peer is told apart") {
  Pair pair;
  REQUIRE(::send(pair.a.get(), "hello", 5, 0) == 5);
  CHECK(receive_request(pair.b.get(), soon()).error().code == std::errc::bad_message);
  const std::string huge(kMaxLaneMessageBytes + 100, 'x');
  REQUIRE(::send(pair.a.get(), huge.data(), huge.size(), 0) > 0);
  CHECK(receive_request(pair.b.get(), soon()).error().code == std::errc::bad_message);
  pair.a.reset();
  const auto closed = receive_request(pair.b.get(), soon());
  REQUIRE(closed);
  CHECK_FALSE(closed->has_value());
}

TEST_CASE("lane: a silent peer costs no more than the deadline") {
  Pair pair;
  CHECK(receive_reply(pair.b.get(), Deadline::after(20ms)).error().code == std::errc::timed_out);
}

}  // namespace
}  // namespace skein
