#include "fuse/ready_stages.h"

#include <algorithm>

namespace skein {
namespace {

// A stage is asked for under a name; this one is taken by nobody, and never published.
constexpr const char* kNobodysName = ".skein-stage";

}  // namespace

ReadyStages::ReadyStages(LaneClient& lanes, Clock now)
    : lanes_(lanes),
      now_(std::move(now)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

ReadyStages::~ReadyStages() {
  thread_.request_stop();
  thread_.join();
}

ReadyStages::Series* ReadyStages::find(const Node& node, const ClusterPath& directory) {
  const auto found = std::find_if(series_.begin(), series_.end(), [&](const Series& series) {
    return series.node == node && series.directory == directory;
  });
  return found == series_.end() ? nullptr : &*found;
}

Result<ReadyStages::Stage> ReadyStages::create(const Node& node, const ClusterPath& path) {
  const ClusterPath directory = path.parent();
  const TimePoint now = now_();
  std::vector<Ready> dropped;  // outside of the lock: that talks to the node
  {
    const std::lock_guard lock(mutex_);
    Series* series = find(node, directory);
    if (series != nullptr) {
      Stage taken;
      while (taken == nullptr && !series->ready.empty()) {
        Ready first = std::move(series->ready.front());
        series->ready.pop_front();
        if (now - first.asked < kTrust && first.stage->is_connected()) {
          taken = std::move(first.stage);
        } else {
          dropped.push_back(std::move(first));
        }
      }
      if (now - series->last_used < kTrust && series->ready.size() <= kFewReady) {
        series->filling = true;
        changed_.notify_one();
      }
      series->last_used = now;
      if (taken != nullptr) {
        taken->aim_at(path);
        return taken;
      }
    } else if (series_.size() < kMostSeries) {
      series_.push_back(Series{node, directory, now, false, {}});
      changed_.notify_one();  // it is to be forgotten in time
    }
  }
  return lanes_.create(node, path);
}

std::size_t ReadyStages::ready() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const Series& series : series_) count += series.ready.size();
  return count;
}

// Forgets series that are not used any more.
std::vector<ReadyStages::Ready> ReadyStages::take_old() {
  std::vector<Ready> old;
  const TimePoint now = now_();
  std::erase_if(series_, [&](Series& series) {
    while (!series.ready.empty() && now - series.ready.front().asked >= kTrust) {
      old.push_back(std::move(series.ready.front()));
      series.ready.pop_front();
    }
    return series.ready.empty() && now - series.last_used >= kTrust;
  });
  return old;
}

ReadyStages::Series* ReadyStages::to_fill() {
  for (Series& series : series_) {
    series.filling = series.filling && series.ready.size() < kMostReady;
    if (series.filling) return &series;
  }
  return nullptr;
}

// `lock` is let go while the node is asked.
void ReadyStages::fill_one(std::unique_lock<std::mutex>& lock, const Series& series) {
  const Node node = series.node;
  const ClusterPath directory = series.directory;
  const TimePoint asked = now_();
  lock.unlock();
  const auto name = directory.child(kNobodysName);
  auto stage = name ? lanes_.create(node, *name) : name.error();
  lock.lock();
  Series* const now = find(node, directory);
  if (now == nullptr) return;  // the stage goes: nobody creates files there any more
  if (stage) {
    now->ready.push_back({std::move(*stage), asked});
  } else {
    now->filling = false;  // who creates the next file asks the node, and hears what it says
  }
}

void ReadyStages::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (std::vector<Ready> old = take_old(); !old.empty()) {
      lock.unlock();
      old.clear();
      lock.lock();
      continue;
    }
    if (Series* const series = to_fill()) {
      fill_one(lock, *series);
      continue;
    }
    const auto work = [&] { return to_fill() != nullptr; };
    if (series_.empty()) {
      changed_.wait(lock, stop, [&] { return !series_.empty(); });
    } else {
      changed_.wait_for(lock, stop, kTrust, work);
    }
  }
}

}  // namespace skein
