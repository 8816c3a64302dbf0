// The client against real data servers: what each promises the other.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "client/download.h"
#include "client/lane_client.h"
#include "client/union_listing.h"
#include "client/upload.h"
#include "core/uuid.h"
#include "tests/client/node_process.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

std::string random_bytes(std::mt19937& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

ClusterPath path_of(const std::string& text) {
  const auto path = ClusterPath::parse(text);
  REQUIRE(path);
  return *path;
}

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

PutBody body_of(const std::string& bytes) { return std::span<const char>(bytes); }

// Real nodes, found by a real membership.
struct Cluster {
  ScratchFolder run_folder;
  std::vector<std::unique_ptr<NodeProcess>> processes;
  std::mutex mutex;
  std::condition_variable changed;  // the nodes of the membership
  std::unique_ptr<Membership> membership;
  NodeClient client;
  Placement placement{real_clock()};
  std::unique_ptr<Uploader> uploader;
  std::unique_ptr<Downloader> downloader;

  explicit Cluster(int count, std::chrono::milliseconds timeout = 10s) : client(timeout) {
    MembershipOptions options;
    options.mdns = false;
    options.registry = false;
    for (int i = 0; i < count; ++i) {
      processes.push_back(std::make_unique<NodeProcess>(run_folder.path()));
      options.static_nodes.push_back(processes.back()->address());
    }
    membership = Membership::start(options);
    REQUIRE(membership->wait_settled(Deadline::after(10s))->size() ==
            static_cast<std::size_t>(count));
    membership->on_change([this](const NodeSnapshot&) {
      { const std::lock_guard lock(mutex); }  // not between the waiter's look and its wait
      changed.notify_all();
    });
    uploader = std::make_unique<Uploader>(client, placement, *membership);
    downloader = std::make_unique<Downloader>(client, *membership);
  }

  ~Cluster() { membership.reset(); }  // before what its callback uses

  bool wait_for_nodes(std::size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 20s, [&] { return membership->nodes()->size() == count; });
  }

  Node node(std::size_t index) const {
    const NodeSnapshot nodes = membership->nodes();
    for (const Node& node : *nodes) {
      if (node.address == processes[index]->address()) return node;
    }
    FAIL("node is not alive");
    return {};
  }
  NodeProcess& process_of(const Node& node) {
    for (const auto& process : processes) {
      if (process->address() == node.address) return *process;
    }
    FAIL("no such process");
    return *processes.front();
  }
  std::string get(const std::string& path) {
    std::string got;
    const auto streamed = downloader->stream(path_of(path), [&](std::span<const char> piece) {
      got.append(piece.data(), piece.size());
      return true;
    });
    return streamed ? got : "error: " + streamed.error().what;
  }
};

TEST_CASE("client and nodes: files of any size and name are stored, listed, found and read back") {
  const unsigned seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Cluster cluster(3);
  std::vector<std::pair<std::string, std::string>> files;
  for (const std::size_t size : {0, 1, 4096, 65'536, 1'000'000, 20'000'000}) {
    files.emplace_back("run 1/50%/\xc3\xa9#?+" + std::to_string(size), random_bytes(random, size));
  }
  for (const auto& [path, bytes] : files) {
    const auto node = cluster.uploader->upload(path_of(path), body_of(bytes));
    REQUIRE(node);
    CHECK(content(cluster.process_of(*node).file(path)) == bytes);
  }
  const auto listing = list_union(cluster.client, *cluster.membership->nodes(),
                                  path_of("run 1/50%"));
  REQUIRE(listing);
  CHECK(listing->listing.size() == files.size());
  for (const auto& [path, bytes] : files) {
    CAPTURE(path);
    CHECK(cluster.get(path) == bytes);
    const auto copies = cluster.downloader->find(path_of(path));
    REQUIRE(copies);
    CHECK(copies->copies.size() == 1);
    CHECK(copies->copies[0].info.size_bytes == bytes.size());
    CHECK(copies->copies[0].info.mtime_s > 1'600'000'000);
    for (int i = 0; i < 20; ++i) {
      const std::size_t offset = random() % (bytes.size() + 10);
      std::string into(random() % 100'000, '\0');
      const auto got = cluster.downloader->read(path_of(path), *copies, offset, into);
      REQUIRE(got);
      const std::string expected =
          offset < bytes.size() ? bytes.substr(offset, into.size()) : std::string();
      CHECK(into.substr(0, *got) == expected);
    }
    CHECK(cluster.uploader->upload(path_of(path), body_of("other")).error().code ==
          std::errc::file_exists);
  }
  CHECK(cluster.uploader->upload(path_of("run 1"), body_of("x")).error().code ==
        std::errc::file_exists);
}

TEST_CASE("client and nodes: an unchanged listing is not sent again, a changed one is") {
  Cluster cluster(1);
  const Node node = cluster.node(0);
  REQUIRE(cluster.client.put(node, path_of("d/a"), body_of("1")));
  const auto first = cluster.client.list(node, path_of("d"), "");
  REQUIRE(first);
  REQUIRE(*first);
  REQUIRE_FALSE((*first)->etag.empty());
  CHECK((*cluster.client.list(node, path_of("d"), (*first)->etag))->unchanged);
  REQUIRE(cluster.client.put(node, path_of("d/b"), body_of("22")));
  const auto second = cluster.client.list(node, path_of("d"), (*first)->etag);
  REQUIRE(second);
  REQUIRE(*second);
  CHECK_FALSE((*second)->unchanged);
  CHECK((*second)->listing.size() == 2);
  REQUIRE(cluster.client.make_directory(node, path_of("e")));
  CHECK(cluster.client.make_directory(node, path_of("e")).error().code ==
        std::errc::file_exists);
  CHECK((*cluster.client.stat(node, path_of("e")))->is_directory);
}

TEST_CASE("client and nodes: of many writers of one name on one node, one wins, whole") {
  Cluster cluster(1);
  const Node node = cluster.node(0);
  for (int round = 0; round < 50; ++round) {
    const ClusterPath path = path_of("race" + std::to_string(round));
    std::atomic<int> winners = 0, refused = 0;
    std::string won;
    {
      std::vector<std::jthread> writers;
      for (int w = 0; w < 4; ++w) {
        writers.emplace_back([&, w] {
          const std::string bytes(100'000, static_cast<char>('a' + w));
          const auto put = cluster.client.put(node, path, body_of(bytes));
          if (put && ++winners == 1) won = bytes;
          if (!put && put.error().code == std::errc::file_exists) ++refused;
        });
      }
    }
    REQUIRE(winners == 1);
    REQUIRE(refused == 3);
    REQUIRE(content(cluster.processes[0]->file(path.text())) == won);
  }
}

TEST_CASE("client and nodes: a stage is invisible until published, and outlives its server") {
  Cluster cluster(1);
  const Node node = cluster.node(0);
  const ClusterPath path = path_of("d/f");
  const std::string id = make_uuid();
  REQUIRE(cluster.client.stage(node, id, path, body_of("first")));
  REQUIRE(cluster.client.stage(node, id, path, body_of("second")));
  CHECK_FALSE(cluster.client.stat(node, path)->has_value());
  cluster.processes[0]->kill();
  cluster.processes[0]->start_again();
  REQUIRE(cluster.client.publish(node, id, path));
  CHECK(content(cluster.processes[0]->file("d/f")) == "second");
  CHECK(cluster.client.publish(node, id, path).error().code ==
        std::errc::no_such_file_or_directory);

  CHECK(cluster.client.stage(node, make_uuid(), path, body_of("x")).error().code ==
        std::errc::file_exists);
  const std::string other = make_uuid();
  REQUIRE(cluster.client.stage(node, other, path_of("d/g"), body_of("x")));
  REQUIRE(cluster.client.put(node, path_of("d/g"), body_of("theirs")));
  CHECK(cluster.client.publish(node, other, path_of("d/g")).error().code ==
        std::errc::file_exists);
  CHECK(cluster.client.drop_stage(node, other));
  CHECK(cluster.client.drop_stage(node, other).error().code ==
        std::errc::no_such_file_or_directory);
  CHECK(content(cluster.processes[0]->file("d/g")) == "theirs");
}

TEST_CASE("client and nodes: a stopped node costs bounded time, and its files come back with it") {
  Cluster cluster(3, 500ms);
  const std::string bytes(200'000, 'x');
  std::vector<Node> placed;
  for (int i = 0; i < 3; ++i) {
    const auto node = cluster.uploader->upload(path_of("f" + std::to_string(i)), body_of(bytes));
    REQUIRE(node);
    placed.push_back(*node);
  }
  cluster.process_of(placed[0]).signal(SIGSTOP);
  const auto timed = [](auto&& call) {
    const auto before = std::chrono::steady_clock::now();
    call();
    CHECK(std::chrono::steady_clock::now() - before < 4s);
  };
  const NodeSnapshot all = cluster.membership->nodes();
  timed([&] {
    const auto listing = list_union(cluster.client, *all, ClusterPath());
    REQUIRE(listing);
    CHECK(listing->listing.find("f1") != nullptr);
    CHECK(listing->listing.find("f2") != nullptr);
  });
  timed([&] { CHECK(cluster.get("f1") == bytes); });
  timed([&] { CHECK(cluster.get("f0").starts_with("error: ")); });
  for (int i = 0; i < 4; ++i) {
    timed([&] {
      const auto node = cluster.uploader->upload(path_of("g" + std::to_string(i)), body_of(bytes));
      REQUIRE(node);
      CHECK(node->key() != placed[0].key());
    });
  }
  cluster.process_of(placed[0]).signal(SIGCONT);
  CHECK(cluster.wait_for_nodes(3));
  CHECK(cluster.get("f0") == bytes);
}

TEST_CASE("client and nodes: an upload whose node is killed midway arrives whole on another one") {
  Cluster cluster(2, 2s);
  const std::string bytes(256 << 20, 'x');
  std::atomic<bool> begun = false;
  const NodeSnapshot all = cluster.membership->nodes();
  // Of nodes never written the first of the snapshot is chosen.
  NodeProcess& first = cluster.process_of(all->front());
  std::jthread killer([&] {
    begun.wait(false);
    first.kill();
  });
  const auto node = cluster.uploader->upload(path_of("f"), body_of(bytes), [&](std::uint64_t) {
    begun = true;
    begun.notify_all();
  });
  killer.join();
  REQUIRE(node);
  CHECK(node->key() == all->back().key());
  CHECK(std::filesystem::file_size(cluster.process_of(*node).file("f")) == bytes.size());
  first.start_again();
  CHECK_FALSE(std::filesystem::exists(first.file("f")));
}

TEST_CASE("client and nodes: the lane stores and opens files of a node on this host") {
  Cluster cluster(1);
  const Node node = cluster.node(0);
  REQUIRE_FALSE(node.lane.empty());
  LaneClient lane(5s);
  REQUIRE(lane.reaches(node));
  auto stage = lane.create(node, path_of("d/f"));
  REQUIRE(stage);
  REQUIRE(::pwrite((*stage)->fd(), "behind", 6, 100'000) == 6);
  REQUIRE(::pwrite((*stage)->fd(), "front", 5, 0) == 5);
  CHECK((*stage)->check());
  CHECK_FALSE(cluster.client.stat(node, path_of("d/f"))->has_value());
  CHECK((*stage)->seal());
  const std::string bytes = content(cluster.processes[0]->file("d/f"));
  CHECK(bytes.size() == 100'006);
  CHECK(bytes.starts_with("front"));
  CHECK(cluster.get("d/f") == bytes);
  const auto opened = lane.open(node, path_of("d/f"));
  REQUIRE(opened);
  REQUIRE(*opened);
  CHECK((*opened)->size_bytes == bytes.size());
  CHECK((::fcntl((*opened)->fd.get(), F_GETFL) & O_ACCMODE) == O_RDONLY);
  CHECK_FALSE(lane.open(node, path_of("none"))->has_value());

  auto taken = lane.create(node, path_of("d/g"));
  REQUIRE(taken);
  REQUIRE(cluster.client.put(node, path_of("d/g"), body_of("theirs")));
  CHECK((*taken)->check().error().code == std::errc::file_exists);
  CHECK((*taken)->seal().error().code == std::errc::file_exists);
  CHECK(content(cluster.processes[0]->file("d/g")) == "theirs");

  cluster.processes[0]->kill();
  CHECK_FALSE(lane.reaches(node));
  cluster.processes[0]->start_again();
  CHECK(lane.reaches(node));
}

}  // namespace
}  // namespace skein
