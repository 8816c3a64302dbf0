#include "client/connection_pool.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <cerrno>

namespace skein {
namespace {

using namespace std::chrono_literals;

const NodeAddress kCam1{"cam1", 1};
const NodeAddress kCam2{"cam2", 1};

struct Pair {
  std::unique_ptr<HttpStream> ours;
  Fd theirs;
  Pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    ours = std::make_unique<HttpStream>(Fd(fds[0]));
    theirs.reset(fds[1]);
  }
};

// True if the peer has seen our end closed.
bool is_closed(const Fd& theirs) {
  char byte;
  const ssize_t n = ::recv(theirs.get(), &byte, 1, MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno == ECONNRESET);
}

TEST_CASE("pool: the connection used last is lent first, and only for its own node") {
  ConnectionPool pool({});
  Pair a, b;
  const int first = a.ours->fd();
  const int second = b.ours->fd();
  pool.keep(kCam1, std::move(a.ours));
  pool.keep(kCam1, std::move(b.ours));
  CHECK(pool.take(kCam2) == nullptr);
  const auto lent = pool.take(kCam1);
  REQUIRE(lent);
  CHECK(lent->fd() == second);
  CHECK(pool.take(kCam1)->fd() == first);
  CHECK(pool.take(kCam1) == nullptr);
}

TEST_CASE("pool: a connection the peer closed or wrote to is not lent again") {
  ConnectionPool pool({});
  Pair closed, talkative;
  closed.theirs.reset();
  REQUIRE(::send(talkative.theirs.get(), "HTTP/1.1 408", 12, 0) == 12);
  pool.keep(kCam1, std::move(closed.ours));
  pool.keep(kCam1, std::move(talkative.ours));
  CHECK(pool.take(kCam1) == nullptr);
  CHECK(is_closed(talkative.theirs));
}

TEST_CASE("pool: a stream that still holds bytes of a reply is not kept") {
  ConnectionPool pool({});
  Pair pair;
  REQUIRE(::send(pair.theirs.get(), "rest", 4, 0) == 4);
  REQUIRE(pair.ours->fill());
  pool.keep(kCam1, std::move(pair.ours));
  CHECK(pool.size() == 0);
  CHECK(is_closed(pair.theirs));
}

TEST_CASE("pool: what is not used for long is closed at the next call") {
  ManualClock time;
  ConnectionPool pool({.most_per_node = 8, .most_in_total = 8, .unused_for = 60s,
                       .now = time.clock()});
  Pair old, young;
  pool.keep(kCam1, std::move(old.ours));
  time.advance(59s);
  pool.keep(kCam2, std::move(young.ours));
  CHECK_FALSE(is_closed(old.theirs));
  time.advance(1s);
  CHECK(pool.take(kCam1) == nullptr);
  CHECK(is_closed(old.theirs));
  CHECK(pool.take(kCam2) != nullptr);
}

TEST_CASE("pool: beyond a limit the connection unused for longest goes") {
  ManualClock time;
  ConnectionPool pool({.most_per_node = 2, .most_in_total = 3, .unused_for = 60s,
                       .now = time.clock()});
  Pair a, b, c, d, e;
  pool.keep(kCam1, std::move(a.ours));
  pool.keep(kCam1, std::move(b.ours));
  pool.keep(kCam1, std::move(c.ours));  // the third of this node
  CHECK(is_closed(a.theirs));
  CHECK(pool.size() == 2);
  pool.keep(kCam2, std::move(d.ours));
  pool.keep(kCam2, std::move(e.ours));  // the fourth of all
  CHECK(is_closed(b.theirs));
  CHECK_FALSE(is_closed(c.theirs));
  CHECK(pool.size() == 3);
}

}  // namespace
}  // namespace skein
