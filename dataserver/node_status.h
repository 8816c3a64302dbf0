// The figures of GET /__status: PYME's keys (docs/wire.md, "Status") and Skein's. Rates are those
// since the last call, at least kSample apart. Thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/node.h"
#include "dataserver/file_store.h"

namespace skein {

class NodeStatus {
 public:
  static constexpr std::chrono::milliseconds kSample{500};

  // `bind_address` as given to listen; `store` is borrowed.
  NodeStatus(Node node, std::string bind_address, const FileStore& store);

  std::string json();

 private:
  struct Cpu {
    std::uint64_t busy = 0;  // clock ticks
    std::uint64_t all = 0;
  };
  struct Traffic {
    std::uint64_t sent_bytes = 0;
    std::uint64_t received_bytes = 0;
  };
  static std::vector<Cpu> read_cpus();
  static std::map<std::string, Traffic> read_traffic();
  void sample();

  const Node node_;
  const std::string bind_address_;
  const FileStore& store_;
  const TimePoint started_ = std::chrono::steady_clock::now();

  std::mutex mutex_;  // guards everything below
  TimePoint sampled_ = started_;
  std::vector<Cpu> cpus_ = read_cpus();
  std::map<std::string, Traffic> traffic_ = read_traffic();
  std::vector<double> cpu_percent_;
  std::map<std::string, Traffic> bytes_per_s_;
};

}  // namespace skein
