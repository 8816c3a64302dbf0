#include "dataserver/sync_gate.h"

#include <doctest/doctest.h>

#include <vector>

namespace skein {
namespace {

using namespace std::chrono_literals;

// A disk whose flushes begin and end as the test says.
class SlowDisk {
 public:
  SyncGate::Flush flush() {
    return [this] {
      std::unique_lock lock(mutex_);
      ++begun_;
      changed_.notify_all();
      changed_.wait_for(lock, 10s, [this] { return ended_ >= begun_; });
      return outcome_;
    };
  }
  bool has_begun(int flushes) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 5s, [&] { return begun_ >= flushes; });
  }
  void end(int outcome = 0) {
    const std::lock_guard lock(mutex_);
    outcome_ = outcome;
    ++ended_;
    changed_.notify_all();
  }
  int begun() {
    const std::lock_guard lock(mutex_);
    return begun_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int begun_ = 0;
  int ended_ = 0;
  int outcome_ = 0;
};

Deadline soon() { return Deadline::after(5000ms); }

TEST_CASE("gate: a ticket taken during a flush waits for the next one") {
  SlowDisk disk;
  SyncGate gate(disk.flush());
  const auto first = gate.ticket();
  REQUIRE(disk.has_begun(1));
  const auto second = gate.ticket();
  disk.end();
  REQUIRE(gate.wait(first, soon()));
  CHECK(gate.released() < second);
  CHECK(gate.wait(second, Deadline::after(20ms)).error().code == std::errc::timed_out);
  disk.end();
  CHECK(gate.wait(second, soon()));
}

TEST_CASE("gate: all tickets that wait share one flush") {
  SlowDisk disk;
  SyncGate gate(disk.flush());
  const auto first = gate.ticket();
  REQUIRE(disk.has_begun(1));
  std::vector<SyncGate::Ticket> waiting;
  for (int i = 0; i < 100; ++i) waiting.push_back(gate.ticket());
  disk.end();
  disk.end();
  for (const auto ticket : waiting) REQUIRE(gate.wait(ticket, soon()));
  CHECK(gate.released() >= first);
  CHECK(disk.begun() == 2);
}

TEST_CASE("gate: after a failed flush nothing is released any more, and everybody is told") {
  SlowDisk disk;
  SyncGate gate(disk.flush());
  std::atomic<int> calls = 0;
  gate.on_release([&] { ++calls; });
  const auto first = gate.ticket();
  REQUIRE(disk.has_begun(1));
  disk.end(5);
  CHECK(gate.wait(first, soon()).error().code == std::errc::io_error);
  CHECK(gate.failed());
  CHECK(gate.released() == 0);
  CHECK(gate.wait(gate.ticket(), soon()).error().code == std::errc::io_error);
  const Deadline deadline = soon();
  while (calls == 0 && !deadline.passed()) std::this_thread::yield();
  CHECK(calls > 0);
}

}  // namespace
}  // namespace skein
