// Which node owns a growing file that is not here. Before a node makes one it claims the path: it
// asks every node of its cluster, at once, whether it has the file, and tells them that it will make
// it (PUT /__own/<path>, docs/wire.md, "Owner of a growing file"). So one file has one owner, and
// the others remember who it is also when it is down. Of two that claim the same path at the same
// time (within kRace) the one with the lower node id wins.
//
// Asking is done by threads of this object; whoever waits for a verdict is woken (on_settled), and
// holds no thread meanwhile. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "client/connection_pool.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/node.h"
#include "core/path.h"
#include "dataserver/file_store.h"
#include "dataserver/mirror_sources.h"

namespace skein {

class Owners {
 public:
  // A node answers a claim from memory and one look at its disk.
  static constexpr std::chrono::milliseconds kClaimTimeout{1000};
  // Two claims that one node hears within this may each have been granted by another one: what a
  // claimer asks with its time limit, and as much for a machine that is busy.
  static constexpr std::chrono::seconds kRace{10};
  // Remembered paths; beyond it the oldest are forgotten.
  static constexpr std::size_t kMostKnown = 100'000;
  static constexpr std::size_t kMostWaiting = 1000;
  static constexpr std::size_t kThreads = 4;
  // A claim that was granted counts as the file until it is made, so long at most.
  static constexpr std::chrono::seconds kToMake{60};

  // Both are borrowed. Owners that were learnt before are read from the private folder.
  Owners(FileStore& store, MirrorSources& members);
  ~Owners();

  // Called when a verdict has come, without locks held. To be set before the first ask(); an empty
  // one is not called any more when this returns.
  void on_settled(std::function<void()> callback);

  struct Verdict {
    enum class Kind {
      kAsking,     // a verdict comes
      kHere,       // this node has it, or may make it
      kElsewhere,  // `owner` is alive
      kDown,       // `why` says who has it
      kUncertain   // `why`: a node that may have it did not answer, or too many ask; ask again
    };
    Kind kind = Kind::kHere;
    Node owner;
    std::string why;
  };
  // Begins to ask if nothing is known. kUncertain is told once; the next call asks again.
  Verdict ask(const ClusterPath& path);
  // The same without asking: kHere also if nothing is known.
  Verdict known(const ClusterPath& path);

  // Another node, with this id, wants to own `path`. The one that does already, if it is another:
  // its node id.
  std::optional<std::string> claimed_by(const std::string& node_id, const ClusterPath& path);

 private:
  Verdict elsewhere(const std::string& owner, const ClusterPath& path);

  struct Known {
    enum class Kind { kAsking, kHere, kElsewhere, kUncertain };
    Kind kind = Kind::kAsking;
    std::string owner;  // Node::key()
    std::string why;
    TimePoint since{};

    bool lapsed() const {
      return kind == Kind::kHere && std::chrono::steady_clock::now() - since >= kToMake;
    }
  };

  Verdict begin_to_ask(const ClusterPath& path);
  void work(std::stop_token stop);
  Known find_out(const ClusterPath& path);
  void remember(const std::string& path, Known known);
  bool write_down(const std::string& path, const std::string& owner);
  void read_back();

  FileStore& store_;
  MirrorSources& members_;
  ConnectionPool pool_;

  std::mutex callback_mutex_;  // guards callback_, and is held while it runs
  std::function<void()> callback_;

  std::mutex mutex_;  // guards everything below; not held while nodes are asked
  std::condition_variable_any asked_;
  std::unordered_map<std::string, Known> known_;  // by path text
  std::deque<std::string> oldest_first_;          // keys of known_
  std::deque<ClusterPath> waiting_;
  Fd notes_;  // the file of owners learnt

  std::vector<std::jthread> threads_;
};

}  // namespace skein
