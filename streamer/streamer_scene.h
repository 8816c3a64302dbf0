// For tests: a streamer over scripted nodes with short deadlines.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/scripted_server.h"
#include "streamer/file_streamer.h"

namespace skein {

inline Deadline soon() { return Deadline::after(std::chrono::seconds(20)); }

inline FileStreamer::Options quick_options() {
  FileStreamer::Options options;
  options.node.stall = std::chrono::milliseconds(300);
  options.node.give_up = std::chrono::milliseconds(300);
  return options;
}

inline std::string name_of(int n) { return "s/frame" + std::to_string(n) + ".pzf"; }

inline std::span<const char> span_of(const std::string& text) { return {text.data(), text.size()}; }

// Some nodes, a client and a streamer over them.
struct Rig {
  std::vector<std::unique_ptr<MemoryNode>> nodes;
  NodeClient client{std::chrono::milliseconds(500)};
  std::unique_ptr<FixedMembership> membership;
  std::unique_ptr<FileStreamer> streamer;

  explicit Rig(int count, FileStreamer::Options options = quick_options()) {
    NodeList list;
    for (int i = 0; i < count; ++i) {
      nodes.push_back(std::make_unique<MemoryNode>());
      list.push_back(nodes.back()->node());
    }
    membership = std::make_unique<FixedMembership>(std::move(list));
    streamer = std::make_unique<FileStreamer>(*membership, client, std::move(options));
  }
  ~Rig() { streamer.reset(); }

  void put(int n, std::size_t size = 1000) {
    const std::string bytes = sample_bytes(size, static_cast<unsigned>(n + 1));
    REQUIRE(streamer->put(path_of(name_of(n)), span_of(bytes), soon()));
  }
  bool stored_somewhere(int n, std::size_t size = 1000) {
    const std::string bytes = sample_bytes(size, static_cast<unsigned>(n + 1));
    for (auto& node : nodes) {
      if (node->file(name_of(n)) == bytes) return true;
    }
    return false;
  }
};

// Makes a node answer nothing until released.
class Held {
 public:
  explicit Held(MemoryNode& node) {
    node.interrupt([held = held_](ScriptedServer&, HttpStream&,
                                  const RequestHead&) -> std::optional<bool> {
      held->wait(true);
      return std::nullopt;
    });
  }
  ~Held() { release(); }
  void release() {
    *held_ = false;
    held_->notify_all();
  }

 private:
  // The node may look at it after this is gone.
  const std::shared_ptr<std::atomic<bool>> held_ = std::make_shared<std::atomic<bool>>(true);
};

}  // namespace skein
