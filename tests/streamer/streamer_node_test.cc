// The streamer against real data servers that die, stop, fill up and come back.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/socket.h"
#include "streamer/file_streamer.h"
#include "tests/client/node_process.h"
#include "tests/streamer/streamed_frame.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kFrameBytes = 100'000;

Deadline soon() { return Deadline::after(60s); }

ClusterPath path_of(const std::string& text) { return *ClusterPath::parse(text); }

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Real nodes, a real membership, and a streamer with short deadlines over them.
struct Cluster {
  ScratchFolder run_folder;
  ScratchFolder recovery;
  std::vector<std::unique_ptr<NodeProcess>> nodes;
  std::unique_ptr<Membership> membership;
  NodeClient client{2s};
  std::mutex mutex;  // guards the two below
  std::condition_variable answered;
  std::uint64_t stored = 0;
  std::unique_ptr<FileStreamer> streamer;

  explicit Cluster(std::vector<std::unique_ptr<NodeProcess>> own = {}, int count = 3) {
    nodes = std::move(own);
    while (nodes.size() < static_cast<std::size_t>(count)) {
      nodes.push_back(std::make_unique<NodeProcess>(run_folder.path()));
    }
    MembershipOptions options;
    options.mdns = false;
    options.registry = false;
    for (const auto& node : nodes) options.static_nodes.push_back(node->address());
    membership = Membership::start(options);
    REQUIRE(membership->wait_settled(Deadline::after(20s))->size() == nodes.size());
    FileStreamer::Options streaming;
    streaming.queue_bytes = 32 << 20;
    streaming.node.stall = 1s;
    streaming.recovery_folder = recovery.path();
    streaming.on_done = [this](const FileStreamer::Done& done) {
      const std::lock_guard lock(mutex);
      stored += done.node != nullptr;
      answered.notify_all();
    };
    streamer = std::make_unique<FileStreamer>(*membership, client, std::move(streaming));
  }
  ~Cluster() { streamer.reset(); }

  void put(std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t n = first; n < end; ++n) {
      const std::string bytes = streamed_frame(n, kFrameBytes);
      REQUIRE(streamer->put(path_of("s/" + std::to_string(n)), bytes, soon()));
    }
  }
  void wait_stored(std::uint64_t count) {
    std::unique_lock lock(mutex);
    REQUIRE(answered.wait_for(lock, 60s, [&] { return stored >= count; }));
  }
  // Every frame is on some node, and each copy of it is whole.
  void check_whole(std::uint64_t count) {
    for (std::uint64_t n = 0; n < count; ++n) {
      const std::string bytes = streamed_frame(n, kFrameBytes);
      int copies = 0;
      for (const auto& node : nodes) {
        const auto file = node->file("s/" + std::to_string(n));
        if (!std::filesystem::exists(file)) continue;
        ++copies;
        CHECK((content(file) == bytes));
      }
      CAPTURE(n);
      CHECK(copies >= 1);
    }
  }
  void finish_whole(std::uint64_t count) {
    const auto failures = streamer->finish(soon());
    REQUIRE(failures);
    CHECK(failures->empty());
    CHECK(stored == count);
    check_whole(count);
  }
};

TEST_CASE("streamer and nodes: a node killed in mid-stream and started again costs no frame") {
  Cluster cluster;
  cluster.put(0, 300);
  cluster.nodes[1]->signal(SIGSTOP);  // some frames are without an answer for certain
  cluster.put(300, 330);
  cluster.nodes[1]->kill();
  cluster.put(330, 600);
  cluster.nodes[1]->start_again();
  cluster.put(600, 900);
  cluster.finish_whole(900);
  CHECK(cluster.streamer->counters().offered_again_files > 0);
}

TEST_CASE("streamer and nodes: a node that stops costs a stall, and its frames go elsewhere") {
  Cluster cluster;
  cluster.put(0, 100);
  cluster.nodes[2]->signal(SIGSTOP);
  cluster.put(100, 600);
  const auto failures = cluster.streamer->finish(soon());
  REQUIRE(failures);
  CHECK(failures->empty());
  cluster.nodes[2]->signal(SIGCONT);
  cluster.finish_whole(600);
}

TEST_CASE("streamer and nodes: the only node, killed and back, has all frames") {
  Cluster cluster({}, 1);
  cluster.put(0, 100);
  cluster.wait_stored(1);
  cluster.nodes[0]->kill();
  // As many as the queue holds without waiting for room.
  cluster.put(100, 300);
  CHECK(cluster.streamer->finish(Deadline::after(3s)).error().code == std::errc::timed_out);
  cluster.nodes[0]->start_again();
  cluster.finish_whole(300);
}

TEST_CASE("streamer and nodes: a full node hands its frames on; where all are full they are kept") {
  ScratchFolder mount;
  if (::mount("tmpfs", mount.path().c_str(), "tmpfs", 0, "size=20m") != 0) {
    MESSAGE("SKIP: mounting a small filesystem needs root");
    return;
  }
  struct Unmount {
    std::string at;
    ~Unmount() { ::umount2(at.c_str(), MNT_DETACH); }
  } unmount{mount.path()};
  SUBCASE("one of two") {
    ScratchFolder run_folder;
    std::vector<std::unique_ptr<NodeProcess>> small;
    small.push_back(std::make_unique<NodeProcess>(run_folder.path(), mount.path()));
    Cluster cluster(std::move(small), 2);
    cluster.put(0, 600);
    cluster.finish_whole(600);
  }
  SUBCASE("the only one") {
    ScratchFolder run_folder;
    std::vector<std::unique_ptr<NodeProcess>> small;
    small.push_back(std::make_unique<NodeProcess>(run_folder.path(), mount.path()));
    Cluster cluster(std::move(small), 1);
    cluster.put(0, 300);
    const auto failures = cluster.streamer->finish(soon());
    REQUIRE(failures);
    CHECK(failures->size() > 0);
    CHECK(failures->size() + cluster.stored == 300);
    for (const auto& failure : *failures) {
      CHECK(failure.error.code == std::errc::no_space_on_device);
      CHECK((content(failure.kept_as) == streamed_frame(failure.ticket, kFrameBytes)));
      CHECK_FALSE(std::filesystem::exists(cluster.nodes[0]->file(failure.path.text())));
    }
  }
}

// Runs the program until `count` frames below `folder` are acknowledged, kills it, returns the
// numbers it printed.
std::set<std::uint64_t> stream_and_kill(const Cluster& cluster, const std::string& folder,
                                        std::size_t count) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  Fd output(ends[0]);
  Fd input(ends[1]);
  std::vector<std::string> words{SKEIN_STREAM_UNTIL_KILLED, std::to_string(kFrameBytes),
                                 cluster.recovery.path(), folder};
  for (const auto& node : cluster.nodes) words.push_back(node->address().text());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::dup2(input.get(), STDOUT_FILENO);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  input.reset();
  std::string text;
  bool killed = false;
  for (std::array<char, 4096> piece;;) {
    const ssize_t n = ::read(output.get(), piece.data(), piece.size());
    REQUIRE(n >= 0);
    if (n == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(n));
    const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    if (!killed && lines >= count) {
      ::kill(pid, SIGKILL);
      killed = true;
    }
  }
  ::waitpid(pid, nullptr, 0);
  CHECK(killed);
  std::set<std::uint64_t> acknowledged;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    acknowledged.insert(std::stoull(text.substr(at, end - at)));
  }
  return acknowledged;
}

TEST_CASE("streamer and nodes: all that a killed program had acknowledged is there, whole") {
  Cluster cluster;
  for (const std::size_t count : {50, 400}) {
    // A folder of its own each time: the nodes go on storing what a killed program had sent.
    const std::string folder = "k" + std::to_string(count);
    const auto acknowledged = stream_and_kill(cluster, folder, count);
    CHECK(acknowledged.size() >= count);
    for (const auto& node : cluster.nodes) {
      for (const auto& entry : std::filesystem::directory_iterator(node->file(folder))) {
        // Nothing cut short is visible, acknowledged or not.
        CHECK(entry.file_size() == kFrameBytes);
      }
    }
    for (const std::uint64_t n : acknowledged) {
      int copies = 0;
      for (const auto& node : cluster.nodes) {
        const auto file = node->file(folder + "/" + std::to_string(n));
        if (!std::filesystem::exists(file)) continue;
        ++copies;
        CHECK((content(file) == streamed_frame(n, kFrameBytes)));
      }
      CHECK(copies == 1);
    }
  }
}

}  // namespace
}  // namespace skein
