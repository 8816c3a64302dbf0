#include "cache/directories.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <latch>
#include <thread>

#include "cache/scratch_folder.h"
#include "client/scripted_server.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

constexpr auto kTrust = 2500ms;

// What a test says about who is alive and who is only named. Changed by the test's thread only.
class ToldMembership : public Membership {
 public:
  NodeSnapshot nodes() const override {
    const std::lock_guard lock(mutex_);
    return nodes_;
  }
  std::vector<NodeState> states() const override {
    const std::lock_guard lock(mutex_);
    return states_;
  }
  NodeSnapshot wait_settled(Deadline) override { return nodes(); }
  void report_failure(const std::string& key, const Error&) override {
    const std::lock_guard lock(mutex_);
    reported_.push_back(key);
  }
  void on_change(std::function<void(NodeSnapshot)>) override {}

  void tell(NodeList alive, NodeList set_aside = {}) {
    const std::lock_guard lock(mutex_);
    states_.clear();
    for (const Node& node : alive) states_.push_back({node, NodeState::Kind::kAlive, "static", ""});
    for (const Node& node : set_aside) {
      states_.push_back({node, NodeState::Kind::kSetAside, "static", "silent"});
    }
    std::sort(alive.begin(), alive.end(),
              [](const Node& a, const Node& b) { return a.key() < b.key(); });
    nodes_ = std::make_shared<const NodeList>(std::move(alive));
  }
  std::vector<std::string> reported() const {
    const std::lock_guard lock(mutex_);
    return reported_;
  }

 private:
  mutable std::mutex mutex_;  // guards everything below
  NodeSnapshot nodes_ = std::make_shared<const NodeList>();
  std::vector<NodeState> states_;
  std::vector<std::string> reported_;
};

MemoryNode::Manners named(const std::string& id) {
  MemoryNode::Manners manners;
  manners.id = id;
  return manners;
}

// Two nodes that keep files in memory, and the directories as a mount holds them.
struct Scene {
  MemoryNode one{named("node1")};
  MemoryNode two{named("node2")};
  ToldMembership membership;
  ManualClock time;
  ScratchFolder scratch;
  std::int64_t now_s = 1'800'000'000;
  NodeClient client;
  std::unique_ptr<Tree> tree;
  std::unique_ptr<Directories> directories;

  explicit Scene(std::chrono::milliseconds timeout = 10s, std::uint64_t max_bytes = 1 << 30)
      : client(timeout) {
    Tree::Options options;
    options.folder = scratch.path();
    options.max_bytes = max_bytes;
    options.now_s = [this] { return now_s; };
    auto opened = Tree::open(options);
    REQUIRE(opened);
    tree = std::move(*opened);
    membership.tell({one.node(), two.node()});
    restart();
  }
  void restart() {
    directories = std::make_unique<Directories>(*tree, client, membership,
                                                Directories::Options{kTrust, time.clock()});
  }
  void pass(std::chrono::seconds span) {
    time.advance(span);
    now_s += span.count();
  }
  int requests() { return one.server().requests() + two.server().requests(); }
  bool has(std::string_view name, Inode directory = kRootInode) {
    return directories->lookup(directory, name).ok();
  }
  std::errc failure(std::string_view name, Inode directory = kRootInode) {
    const auto found = directories->lookup(directory, name);
    REQUIRE_FALSE(found);
    return found.error().code;
  }
  std::string missing(Inode directory = kRootInode) {
    const auto nodes = directories->refresh(directory);
    if (!nodes) return "error: " + nodes.error().what;
    std::string keys;
    for (const Node& node : *nodes) keys += node.key() + " ";
    return keys;
  }
};

// Closes the connection instead of answering.
std::optional<bool> be_silent(ScriptedServer&, HttpStream&, const RequestHead&) { return false; }

TEST_CASE("directories: a file once seen is answered without asking, however long ago") {
  Scene scene;
  scene.one.add("x", "12345");
  CHECK(scene.directories->lookup(kRootInode, "x")->entry.size == 5);
  scene.pass(3600s);
  const int before = scene.requests();
  CHECK(scene.directories->lookup(kRootInode, "x")->entry.size == 5);
  CHECK(scene.requests() == before);
  scene.restart();
  CHECK(scene.directories->lookup(kRootInode, "x")->entry.size == 5);
  CHECK(scene.requests() == before);
}

TEST_CASE("directories: a name is absent until the trust time is over, then looked for again") {
  Scene scene;
  CHECK(scene.failure("late") == std::errc::no_such_file_or_directory);
  scene.two.add("late", "1");
  const int before = scene.requests();
  scene.time.advance(kTrust - 1ms);
  CHECK_FALSE(scene.has("late"));
  CHECK(scene.requests() == before);
  scene.time.advance(1ms);
  CHECK(scene.has("late"));
}

TEST_CASE("directories: an unchanged directory is confirmed by its ETags") {
  Scene scene;
  scene.one.add("d/a", "1");
  scene.two.add("d/b", "22");
  const Inode d = scene.directories->lookup(kRootInode, "d")->inode;
  CHECK(scene.missing(d).empty());
  std::atomic<int> conditional = 0;
  const auto count = [&](ScriptedServer&, HttpStream&,
                         const RequestHead& head) -> std::optional<bool> {
    if (head.find("If-None-Match")) ++conditional;
    return std::nullopt;
  };
  scene.one.interrupt(count);
  scene.two.interrupt(count);
  scene.pass(10s);
  const std::uint64_t version = scene.tree->share_heads(d)->version;
  CHECK(scene.missing(d).empty());
  CHECK(conditional == 2);
  CHECK(scene.tree->share_heads(d)->version == version);
  CHECK(scene.tree->names(d, "", 9)->size() == 2);
  // One node changes: the other's share is taken from the tree.
  scene.two.add("d/c", "333");
  scene.pass(10s);
  CHECK(scene.missing(d).empty());
  CHECK(scene.tree->names(d, "", 9)->size() == 3);
}

TEST_CASE("directories: a server without ETags, as PYME's, is listed in full each time") {
  Scene scene;
  MemoryNode::Manners pyme;
  pyme.etags = false;
  MemoryNode old(pyme);
  scene.membership.tell({old.node()});
  old.add("a", "1");
  CHECK(scene.has("a"));
  old.add("b", "1");
  scene.pass(3s);
  CHECK(scene.has("b"));
  old.remove("a");
  scene.pass(3s);
  CHECK(scene.failure("c") == std::errc::no_such_file_or_directory);
  CHECK_FALSE(scene.has("a"));
}

TEST_CASE("directories: a silent node keeps its last share and is named, others go on") {
  Scene scene;
  scene.one.add("on one", "1");
  scene.two.add("on two", "2");
  CHECK(scene.missing().empty());
  scene.two.interrupt(be_silent);
  scene.one.add("new on one", "3");
  scene.pass(10s);
  CHECK(scene.missing() == "node2 ");
  CHECK(scene.has("on two"));
  CHECK(scene.has("new on one"));
  CHECK(scene.failure("nowhere") == std::errc::no_such_file_or_directory);
  const auto reported = scene.membership.reported();
  CHECK(std::count(reported.begin(), reported.end(), "node2") > 0);
  // Back again: complete.
  scene.two.interrupt({});
  scene.two.add("new on two", "4");
  scene.pass(10s);
  CHECK(scene.missing().empty());
  CHECK(scene.has("new on two"));
}

TEST_CASE("directories: a node set aside keeps its share; one that left in order takes it along") {
  Scene scene;
  scene.one.add("on one", "1");
  scene.two.add("on two", "2");
  CHECK(scene.missing().empty());
  scene.membership.tell({scene.one.node()}, {scene.two.node()});
  CHECK(scene.missing() == "node2 ");
  CHECK(scene.has("on two"));
  scene.membership.tell({scene.one.node()});
  CHECK(scene.missing().empty());
  CHECK_FALSE(scene.has("on two"));
  CHECK(scene.has("on one"));
}

TEST_CASE("directories: after a start, discovery has 10 s before a node counts as gone") {
  Scene scene;
  scene.one.add("on one", "1");
  scene.two.add("on two", "2");
  CHECK(scene.missing().empty());
  const Inode inode = scene.tree->lookup(kRootInode, "on two")->inode;
  scene.membership.tell({scene.one.node()});
  scene.restart();
  CHECK(scene.missing() == "node2 ");
  CHECK(scene.directories->lookup(kRootInode, "on two")->inode == inode);
  scene.pass(10s);
  CHECK(scene.missing().empty());
  CHECK_FALSE(scene.has("on two"));
}

TEST_CASE("directories: a node that joins or leaves is noticed before the trust time is over") {
  Scene scene;
  scene.membership.tell({scene.one.node()});
  CHECK_FALSE(scene.has("on two"));
  scene.two.add("on two", "2");
  scene.membership.tell({scene.one.node(), scene.two.node()});
  CHECK(scene.has("on two"));
}

TEST_CASE("directories: a share is dropped when its node no longer has the directory") {
  Scene scene;
  scene.one.add("d/a", "1");
  scene.two.add("d/b", "1");
  const Inode d = scene.directories->lookup(kRootInode, "d")->inode;
  CHECK(scene.missing(d).empty());
  scene.two.remove("d/b");
  scene.pass(10s);
  CHECK(scene.missing(d).empty());
  CHECK(scene.tree->names(d, "", 9)->size() == 1);
  // On no node any more: gone, with its name.
  scene.one.remove("d/a");
  scene.pass(10s);
  CHECK(scene.directories->refresh(d).error().code == std::errc::no_such_file_or_directory);
  CHECK_FALSE(scene.has("d"));
  CHECK(scene.directories->path_of(d).error().code == std::errc::no_such_file_or_directory);
}

TEST_CASE("directories: a name that is a file here and a directory there is a directory") {
  Scene scene;
  scene.one.add("x", "1");
  scene.two.add("x/y", "1");
  const auto x = scene.directories->lookup(kRootInode, "x");
  REQUIRE(x);
  CHECK(x->entry.is_directory());
  CHECK(scene.has("y", x->inode));
}

TEST_CASE("directories: a file removed by hand goes after distrust, not if a node is silent") {
  Scene scene;
  scene.one.add("x", "1");
  scene.two.add("y", "1");
  CHECK(scene.has("x"));
  scene.one.remove("x");
  scene.pass(10s);
  CHECK(scene.has("x"));
  SUBCASE("all nodes answer") {
    scene.directories->distrust(kRootInode);
    CHECK(scene.failure("x") == std::errc::no_such_file_or_directory);
    CHECK(scene.has("y"));
  }
  SUBCASE("its node is silent") {
    scene.one.interrupt(be_silent);
    scene.directories->distrust(kRootInode);
    CHECK(scene.has("x"));
  }
}

TEST_CASE("directories: an own write is seen at once, and a listing under way does not hide it") {
  Scene scene;
  scene.one.add("old", "1");
  CHECK(scene.missing().empty());
  std::latch asked(1), noted(1);
  scene.one.interrupt([&](ScriptedServer&, HttpStream& stream,
                          const RequestHead&) -> std::optional<bool> {
    // The node looks before the write, and its answer arrives after it.
    asked.count_down();
    noted.wait();
    return reply(stream, 200, "ETag: \"stale\"\r\n", R"({"old":[0,1],"late":[0,1]})");
  });
  scene.pass(10s);
  std::jthread reader([&] { CHECK(scene.has("late")); });
  asked.wait();
  const auto own = scene.directories->note_created(kRootInode, "own", {0, 7});
  REQUIRE(own);
  CHECK(*scene.directories->lookup(kRootInode, "own") == *own);
  noted.count_down();
  reader.join();
  CHECK(*scene.directories->lookup(kRootInode, "own") == *own);
  CHECK(scene.tree->names(kRootInode, "", 9)->size() == 3);
}

TEST_CASE("directories: many who want the same directory ask once") {
  Scene scene;
  scene.one.add("x", "1");
  std::latch asked(1), answer(1);
  scene.one.interrupt([&](ScriptedServer&, HttpStream&,
                          const RequestHead&) -> std::optional<bool> {
    asked.count_down();
    answer.wait();
    return std::nullopt;
  });
  std::atomic<int> found = 0;
  std::vector<std::jthread> readers;
  readers.emplace_back([&] { found += scene.has("x"); });
  asked.wait();
  for (int i = 0; i < 7; ++i) readers.emplace_back([&] { found += scene.has("x"); });
  answer.count_down();
  readers.clear();
  CHECK(found == 8);
  CHECK(scene.one.server().requests() == 1);
}

TEST_CASE("directories: with nobody there, what is known is answered and the rest is unreachable") {
  Scene scene;
  scene.membership.tell({});
  CHECK(scene.failure("x") == std::errc::host_unreachable);
  CHECK(scene.directories->refresh(kRootInode).error().code == std::errc::host_unreachable);
  scene.one.add("x", "1");
  scene.one.add("d/y", "1");
  scene.membership.tell({scene.one.node()});
  CHECK(scene.has("x"));
  scene.membership.tell({}, {scene.one.node()});
  scene.pass(10s);
  CHECK(scene.has("x"));
  CHECK(scene.has("d"));
  CHECK(scene.missing() == "node1 ");
  CHECK(scene.failure("y", scene.tree->lookup(kRootInode, "d")->inode) ==
        std::errc::host_unreachable);
}

TEST_CASE("directories: a node that stops in the middle costs one timeout, and not its names") {
  Scene scene(200ms);
  scene.one.add("on one", "1");
  scene.two.add("on two", "1");
  CHECK(scene.missing().empty());
  scene.two.interrupt([](ScriptedServer& server, HttpStream&,
                         const RequestHead&) -> std::optional<bool> {
    server.stall();
    return false;
  });
  scene.pass(10s);
  const auto begun = std::chrono::steady_clock::now();
  CHECK(scene.missing() == "node2 ");
  CHECK(std::chrono::steady_clock::now() - begun < 5s);
  const int before = scene.requests();
  CHECK(scene.has("on two"));
  CHECK_FALSE(scene.has("nowhere"));
  CHECK(scene.requests() == before);
}

TEST_CASE("directories: a growing file shows its size as it grows") {
  Scene scene;
  scene.one.add("_aggregate/log.txt", "1");
  const Inode growing = scene.directories->lookup(kRootInode, "_aggregate")->inode;
  CHECK(scene.directories->lookup(growing, "log.txt")->entry.size == 1);
  scene.one.add("_aggregate/log.txt", "12345");
  scene.time.advance(kTrust);
  CHECK(scene.directories->lookup(growing, "log.txt")->entry.size == 5);
}

TEST_CASE("directories: a file is no directory, and an unknown inode is nothing") {
  Scene scene;
  scene.one.add("x", "1");
  const Inode x = scene.directories->lookup(kRootInode, "x")->inode;
  CHECK(scene.directories->refresh(x).error().code == std::errc::not_a_directory);
  CHECK(scene.directories->refresh(987654).error().code == std::errc::no_such_file_or_directory);
  CHECK(scene.failure("y", 987654) == std::errc::no_such_file_or_directory);
  CHECK(scene.directories->path_of(x)->text() == "x");
  CHECK(scene.directories->path_of(kRootInode)->is_root());
}

TEST_CASE("directories: a tree begun anew under a trusted listing hides no file") {
  Scene scene(10s, 1 << 20);
  scene.one.add("d/file", "1");
  const Inode d = scene.directories->lookup(kRootInode, "d")->inode;
  CHECK(scene.has("file", d));
  std::vector<NamedEntry> many;
  for (int i = 0; i < 20000; ++i) many.push_back({"n" + std::to_string(i), {0, i}});
  const Inode other = scene.directories->note_created(kRootInode, "other",
                                                      {Entry::kDirectory, 0})->inode;
  REQUIRE(scene.tree->store_listing(other, Listing(many), {}));
  REQUIRE(scene.directories->note_created(kRootInode, "last drop", {0, 1}));
  REQUIRE_FALSE(scene.tree->lookup(d, "file"));
  CHECK(scene.has("file", d));
}

}  // namespace
}  // namespace skein
