// Advertiser and membership against a real Avahi daemon, which these tests kill and start again: to
// be run by `tests/net/netcluster.sh solo` only, with a bus and a daemon of their own.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <set>

#include "core/uuid.h"
#include "discovery/advertiser.h"
#include "discovery/membership.h"
#include "discovery/test_node.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

// What the issue promises to users of a running mount.
constexpr auto kPromised = 3000ms;
// Waits whose length is the daemon's: it probes its host name and records for about 2 s.
constexpr auto kDaemonStarts = 20s;

// Number of the process that runs `program`; 0 if there is none.
pid_t find_process(const std::string& program) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream in(entry.path() / "comm");
    std::ifstream state(entry.path() / "stat");
    std::string name, line;
    if (!std::getline(in, name) || name != program.substr(0, 15)) continue;
    if (std::getline(state, line) && line.find(") Z") != std::string::npos) continue;
    return std::stoi(entry.path().filename().string());
  }
  return 0;
}

// False if there was none, or if it ended of itself meanwhile.
bool kill_if_running(const std::string& program) {
  bool killed = false;
  if (const pid_t pid = find_process(program); pid > 0) {
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    killed = process && ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) == 0;
    if (!killed) REQUIRE(errno == ESRCH);
    if (process) CHECK(wait_ready(process.get(), POLLIN, Deadline::after(5s)));
  }
  // One that we started stays a zombie until asked after, and Avahi takes that for running.
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  return killed;
}

void kill_process(const std::string& program) { REQUIRE(kill_if_running(program)); }

void spawn(std::vector<const char*> arguments) {
  arguments.push_back(nullptr);
  pid_t pid = 0;
  posix_spawn_file_actions_t quiet;
  REQUIRE(::posix_spawn_file_actions_init(&quiet) == 0);
  ::posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
  const int failure = ::posix_spawnp(&pid, arguments[0], &quiet, nullptr,
                                     const_cast<char**>(arguments.data()), environ);
  ::posix_spawn_file_actions_destroy(&quiet);
  REQUIRE(failure == 0);
}

void start_avahi() {
  spawn({"avahi-daemon", "--no-chroot", "--no-drop-root", "--no-rlimits", "-f", "/run/avahi.conf"});
}

// A data server as discovery sees one, with its announcement.
class Announced {
 public:
  explicit Announced(long pid, const std::string& cluster = "lab") {
    node_.id = make_uuid();
    node_.host_id = local_host_id();
    node_.cluster = cluster;
    node_.name = instance_name(cluster, "solo", pid);
    server_ = std::make_unique<TestNode>(reply_with(status_of(node_)));
    node_.address = server_->address();
    auto started = Advertiser::start(node_, {.registry = false, .loopback_only = true});
    REQUIRE(started);
    advertiser_ = std::move(*started);
  }
  const Node& node() const { return node_; }
  // As a server does at SIGTERM: no connections any more, goodbye.
  void end() {
    server_.reset();
    advertiser_.reset();
  }
  // As SIGKILL does it to the server alone: the port is closed, mDNS goes on naming it.
  void stop_serving() { server_.reset(); }

 private:
  Node node_;
  std::unique_ptr<TestNode> server_;
  std::unique_ptr<Advertiser> advertiser_;
};

MembershipOptions mdns_only(const std::string& filter = "") {
  REQUIRE(std::filesystem::exists("/run/avahi.conf"));  // netcluster.sh solo made it
  MembershipOptions options;
  options.filter = filter;
  options.registry = false;
  return options;
}

std::string output_of(const char* command) {
  std::string text;
  FILE* const pipe = ::popen(command, "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> part;
  while (const std::size_t n = ::fread(part.data(), 1, part.size(), pipe)) {
    text.append(part.data(), n);
  }
  ::pclose(pipe);
  return text;
}

TEST_CASE("mdns: a node that starts later appears within 3 s, one that ends is gone within 3 s") {
  WatchedMembership membership(mdns_only());
  CHECK(membership->wait_settled(Deadline::after(10s))->empty());
  Announced server(1001);
  REQUIRE(membership.comes_to(1, kPromised));
  CHECK(membership->nodes()->front() == server.node());
  server.end();
  CHECK(membership.comes_to(0, kPromised));
  CHECK(membership->states().empty());
}

TEST_CASE("mdns: a node that dies without a goodbye is set aside within 3 s, and told of") {
  WatchedMembership membership(mdns_only());
  Announced server(1002);
  REQUIRE(membership.comes_to(1, kPromised));
  server.stop_serving();
  CHECK(membership.comes_to(0, kPromised));
  const auto states = membership->states();
  REQUIRE(states.size() == 1);
  CHECK(states.front().sources == "mdns");
  CHECK(states.front().kind == NodeState::Kind::kSetAside);
}

TEST_CASE("mdns: all servers of a host are seen, by a membership that starts after them too") {
  const Announced a(2001), b(2002), c(2003), other(2004, "home");
  {
    WatchedMembership membership(mdns_only());
    REQUIRE(membership.comes_to(4, kPromised));
  }
  const auto all = Membership::start(mdns_only())->wait_settled(Deadline::after(10s));
  CHECK(all->size() == 4);
  const auto lab = Membership::start(mdns_only("[lab]"))->wait_settled(Deadline::after(10s));
  CHECK(lab->size() == 3);

  // Another program's view: one resolved line each, with address, port and TXT.
  const std::string seen = output_of("avahi-browse -rtp _pyme-http._tcp 2>&1");
  for (const Announced* server : {&a, &b, &c, &other}) {
    CAPTURE(seen);
    CHECK(seen.find("127.0.0.1;" + std::to_string(server->node().address.port) + ";") !=
          std::string::npos);
    CHECK(seen.find("\"id=" + server->node().id + "\"") != std::string::npos);
  }
}

TEST_CASE("mdns: two hosts with equal names and process numbers are both seen") {
  WatchedMembership membership(mdns_only());
  const Announced a(3001), b(3001);
  REQUIRE(a.node().name == b.node().name);
  CHECK(membership.comes_to(2, kDaemonStarts));
}

TEST_CASE("mdns: without a daemon it settles at once, and finds nodes when the daemon comes") {
  kill_process("avahi-daemon");
  WatchedMembership membership(mdns_only());
  const Announced server(4001);
  const auto begun = std::chrono::steady_clock::now();
  CHECK(membership->wait_settled(Deadline::after(10s))->empty());
  CHECK(std::chrono::steady_clock::now() - begun < 1s);
  start_avahi();
  CHECK(membership.comes_to(1, kDaemonStarts));
}

TEST_CASE("mdns: while the daemon is killed and started again no node is lost, then news comes") {
  WatchedMembership membership(mdns_only());
  const Announced first(5001);
  Announced leaving(5002);
  REQUIRE(membership.comes_to(2, kPromised));
  kill_process("avahi-daemon");
  CHECK_FALSE(membership.comes_to(1, 1000ms));  // nobody left, since both answer
  leaving.stop_serving();
  CHECK(membership.comes_to(1, kPromised));
  start_avahi();
  const Announced second(5003);
  CHECK(membership.comes_to(2, kDaemonStarts));
  // Announced anew by the daemon that came back, so that newcomers find it too.
  WatchedMembership newcomer(mdns_only());
  CHECK(newcomer.comes_to(2, kDaemonStarts));
}

TEST_CASE("mdns: a restart of the bus is outlived like one of the daemon") {
  WatchedMembership membership(mdns_only());
  const Announced first(6001);
  REQUIRE(membership.comes_to(1, kPromised));
  kill_process("dbus-daemon");
  kill_if_running("avahi-daemon");  // it ends of itself once it sees that the bus is gone
  CHECK_FALSE(membership.comes_to(0, 500ms));
  std::filesystem::remove("/run/dbus/system_bus_socket");
  spawn({"dbus-daemon", "--config-file=/run/dbus.conf", "--nofork", "--nopidfile"});
  // The daemon does not wait for the bus, so wait for its socket.
  const Deadline deadline = Deadline::after(10s);
  while (!std::filesystem::exists("/run/dbus/system_bus_socket") && !deadline.passed()) {
    std::this_thread::yield();
  }
  start_avahi();
  const Announced second(6002);
  CHECK(membership.comes_to(2, kDaemonStarts));
}

}  // namespace
}  // namespace skein
