#include "dataserver/peer_loop.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>

#include "core/socket.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

Deadline soon() { return Deadline::after(20000ms); }

// Sends every byte back. 'q' closes, 'b' makes it busy until the next byte, 't' asks for a turn
// after 30 ms, which answers with '!'; 'n' waits for 300 ms and nothing else. 'w' and 'k' wait to be
// woken, which answers with '!', of 'k' when it is let go.
class Echo final : public Peer {
 public:
  Echo(Fd socket, std::atomic<int>& turns, std::atomic<bool>& let_go)
      : socket_(std::move(socket)), turns_(turns), let_go_(let_go) {}
  int fd() const override { return socket_.get(); }
  Turn take_turn(Workbench&) override {
    ++turns_;
    if (std::chrono::steady_clock::now() < deaf_until_) return deaf();
    if (waits_ == 'k') let_go_.wait(false);
    char c = 0;
    Turn turn;
    const ssize_t n = ::recv(fd(), &c, 1, MSG_DONTWAIT);
    if (n == 0 || c == 'q' || (n < 0 && errno == ECONNRESET)) return {.close = true};
    if (c == 'n') {
      deaf_until_ = std::chrono::steady_clock::now() + 300ms;
      ::send(fd(), &c, 1, MSG_NOSIGNAL);
      return deaf();
    }
    if (n < 0 && (timed_ || waits_ != 0)) c = '!';
    waits_ = c == 'w' || c == 'k' ? c : 0;
    turn.wake = waits_ != 0;
    timed_ = n > 0 && c == 't';
    if (timed_) turn.deadline = std::chrono::steady_clock::now() + 30ms;
    if (c != 0) ::send(fd(), &c, 1, MSG_NOSIGNAL);
    if (n > 0) last_ = std::chrono::steady_clock::now();
    turn.idle = c != 'b';
    turn.idle_since = last_;
    return turn;
  }

 private:
  Turn deaf() const { return {.input = false, .deadline = deaf_until_}; }

  const Fd socket_;
  std::atomic<int>& turns_;
  std::atomic<bool>& let_go_;
  char waits_ = 0;
  TimePoint deaf_until_{};
  TimePoint last_ = std::chrono::steady_clock::now();
  bool timed_ = false;
};

struct Running {
  explicit Running(PeerLoop::Options options) {
    auto listener = listen_tcp({"127.0.0.1", 0}, 64);
    REQUIRE(listener);
    address = *local_address(listener->get());
    auto started = PeerLoop::start(
        std::move(*listener), options,
        [this](Fd fd) { return std::make_unique<Echo>(std::move(fd), turns, let_go); },
        [](int socket) { ::send(socket, "full", 4, MSG_NOSIGNAL | MSG_DONTWAIT); });
    REQUIRE(started);
    loop = std::move(*started);
  }
  ~Running() {
    let_go = true;
    let_go.notify_all();
  }
  Fd connect() const {
    auto fd = connect_tcp(address, soon());
    REQUIRE(fd);
    return std::move(*fd);
  }
  NodeAddress address;
  std::atomic<int> turns = 0;
  std::atomic<bool> let_go = false;
  std::unique_ptr<PeerLoop> loop;
};

// "" when the peer closed.
std::string receive(const Fd& fd) {
  REQUIRE(wait_ready(fd.get(), POLLIN, soon()));
  char text[16];
  const ssize_t n = ::recv(fd.get(), text, sizeof text, 0);
  return {text, n > 0 ? static_cast<std::size_t>(n) : 0};
}

std::string ask(const Fd& fd, char c) {
  REQUIRE(::send(fd.get(), &c, 1, MSG_NOSIGNAL) == 1);
  return receive(fd);
}

TEST_CASE("loop: more clients than threads are all served, and closed ones are forgotten") {
  Running r({.threads = 2, .max_peers = 100});
  std::vector<Fd> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(r.connect());
  for (const Fd& client : clients) CHECK(ask(client, 'a') == "a");
  for (const Fd& client : clients) CHECK(ask(client, 'q') == "");
  const Deadline deadline = soon();
  while (r.loop->peers() > 0 && !deadline.passed()) std::this_thread::yield();
  CHECK(r.loop->peers() == 0);
}

TEST_CASE("loop: a peer gets its turn at the time it asked for, without input") {
  Running r({.threads = 2, .max_peers = 10});
  const Fd client = r.connect();
  CHECK(ask(client, 't') == "t");
  CHECK(receive(client) == "!");
}

TEST_CASE("loop: all that wait for it are woken, though the first of them hold their threads up") {
  Running r({.threads = 8, .max_peers = 100});
  std::vector<Fd> slow, quick;
  for (int i = 0; i < 5; ++i) CHECK(ask(slow.emplace_back(r.connect()), 'k') == "k");
  for (int i = 0; i < 30; ++i) CHECK(ask(quick.emplace_back(r.connect()), 'w') == "w");
  // The replies came before the turns had ended: who is not waiting yet is woken all the same.
  r.loop->wake();
  for (const Fd& client : quick) CHECK(receive(client) == "!");
  r.let_go = true;
  r.let_go.notify_all();
  for (const Fd& client : slow) CHECK(receive(client) == "!");
  for (int round = 0; round < 3; ++round) {
    for (const Fd& client : quick) CHECK(ask(client, 'w') == "w");
    r.loop->wake();
    for (const Fd& client : quick) CHECK(receive(client) == "!");
  }
}

TEST_CASE("loop: a reset costs a peer that waits for nothing no turn after turn") {
  Running r({.threads = 2, .max_peers = 10});
  Fd client = r.connect();
  CHECK(ask(client, 'n') == "n");
  const linger at_once{1, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  client.reset();
  const Deadline deadline = soon();
  while (r.loop->peers() > 0 && !deadline.passed()) std::this_thread::yield();
  CHECK(r.loop->peers() == 0);
  CHECK(r.turns <= 4);
}

TEST_CASE("loop: at the limit the client idle for longest makes room") {
  Running r({.threads = 2, .max_peers = 3});
  const Fd first = r.connect();
  CHECK(ask(first, 'a') == "a");
  const Fd second = r.connect();
  CHECK(ask(second, 'a') == "a");
  const Fd third = r.connect();
  CHECK(ask(third, 'a') == "a");
  CHECK(ask(first, 'b') == "b");
  CHECK(ask(first, 'a') == "a");
  const Fd fourth = r.connect();
  CHECK(ask(fourth, 'a') == "a");
  CHECK(receive(second) == "");
  CHECK(ask(first, 'a') == "a");
  CHECK(ask(third, 'a') == "a");
}

TEST_CASE("loop: at the limit with everybody busy a client is turned away, after a while") {
  Running r({.threads = 2, .max_peers = 1});
  const Fd busy = r.connect();
  CHECK(ask(busy, 'b') == "b");
  const Fd late = r.connect();
  CHECK(receive(late) == "full");
  CHECK(ask(busy, 'a') == "a");
}

TEST_CASE("loop: stopping closes the idle at once and waits for the busy up to the deadline") {
  Running r({.threads = 2, .max_peers = 10});
  const Fd idle = r.connect();
  CHECK(ask(idle, 'a') == "a");
  const Fd busy = r.connect();
  CHECK(ask(busy, 'b') == "b");
  std::jthread stopping([&] { r.loop->stop(soon()); });
  CHECK(receive(idle) == "");
  CHECK(connect_tcp(r.address, soon()).error().code == std::errc::connection_refused);
  CHECK(ask(busy, 'a') == "a");
  CHECK(receive(busy) == "");
  stopping.join();
  CHECK(r.loop->peers() == 0);
}

TEST_CASE("loop: stopping does not wait longer than the deadline") {
  Running r({.threads = 2, .max_peers = 10});
  const Fd busy = r.connect();
  CHECK(ask(busy, 'b') == "b");
  const auto began = std::chrono::steady_clock::now();
  r.loop->stop(Deadline::after(100ms));
  CHECK(std::chrono::steady_clock::now() - began < 3s);
  r.loop.reset();
  CHECK(receive(busy) == "");
}

}  // namespace
}  // namespace skein
