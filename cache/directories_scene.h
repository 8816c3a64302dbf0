// For tests: two nodes that keep files in memory, a membership that says what it is told, and the
// directories as a mount holds them, on a clock that is cranked.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cache/directories.h"
#include "client/scripted_server.h"
#include "core/scratch_folder.h"

namespace skein {

inline constexpr std::chrono::milliseconds kTrust{2500};

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

inline MemoryNode::Manners named(const std::string& id) {
  MemoryNode::Manners manners;
  manners.id = id;
  return manners;
}

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

  explicit Scene(std::chrono::milliseconds timeout = std::chrono::seconds(10),
                 std::uint64_t max_bytes = 1 << 30)
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
inline std::optional<bool> be_silent(ScriptedServer&, HttpStream&, const RequestHead&) {
  return false;
}

}  // namespace skein
