// Stages that are made before they are asked for: a program that writes one file after the other
// into a directory need not wait for the node at each of them. Made where two files went into one
// directory of one node within kTrust, and dropped when they are not used for so long.
//
// Whether the name is taken on the node itself is then found by LaneClient::Stage::check(), in the
// close() of the file. Thread-safe.
#pragma once

#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "client/lane_client.h"
#include "core/clock.h"
#include "core/node.h"
#include "core/path.h"

namespace skein {

class ReadyStages {
 public:
  using Stage = std::unique_ptr<LaneClient::Stage>;

  // Of one directory on one node; made anew when no more than kFewReady are left, so that not every
  // file wakes a thread. Each has a lane connection.
  static constexpr std::size_t kMostReady = 4;
  static constexpr std::size_t kFewReady = 2;
  // Directories that are written into by turns: three nodes, or a few programs.
  static constexpr std::size_t kMostSeries = 8;
  // The disk may be full a second later, and the directory moved.
  static constexpr std::chrono::milliseconds kTrust{1000};

  // `lanes` is borrowed.
  ReadyStages(LaneClient& lanes, Clock now);
  ~ReadyStages();

  // As LaneClient::create(), but for file_exists: see above.
  Result<Stage> create(const Node& node, const ClusterPath& path);

  std::size_t ready() const;

 private:
  struct Ready {
    Stage stage;
    TimePoint asked;  // when the node was asked for it
  };
  // The files that go into one directory of one node.
  struct Series {
    Node node;
    ClusterPath directory;
    TimePoint last_used{};
    bool filling = false;  // up to kMostReady
    std::deque<Ready> ready;
  };
  Series* find(const Node& node, const ClusterPath& directory);
  Series* to_fill();
  std::vector<Ready> take_old();
  void fill_one(std::unique_lock<std::mutex>& lock, const Series& series);
  void run(const std::stop_token& stop);

  LaneClient& lanes_;
  const Clock now_;

  mutable std::mutex mutex_;  // guards everything below; not held while a node is asked
  std::condition_variable_any changed_;
  std::list<Series> series_;

  std::jthread thread_;
};

}  // namespace skein
