// What nodes say of themselves at /__status (docs/wire.md, "Status, glob, client operations").
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/node.h"

namespace skein {

// Numbers a server does not give are nullopt, texts "".
struct NodeStatus {
  std::string computer;
  std::string version;  // "" for a server that is not Skein's
  std::string uptime;   // "H:MM:SS", without fractions
  std::string host_id;
  std::optional<std::uint64_t> disk_total_bytes;
  std::optional<std::uint64_t> disk_free_bytes;
  std::optional<double> cpu_percent;  // mean of the cores
  std::optional<std::uint64_t> memory_total_bytes;
  std::optional<std::uint64_t> memory_available_bytes;
};

// Errors: bad_message.
Result<NodeStatus> parse_status(std::string_view json);

struct StatusReply {
  Node node;
  Result<NodeStatus> status;
  std::string json;  // as received, on one line; "" if there is none
};

// Asks all at once, within about `timeout`; in the order of `nodes`.
std::vector<StatusReply> ask_status(const NodeList& nodes, std::chrono::milliseconds timeout);

// Space of all nodes together. Nodes of one host with equally large disks are taken to share one
// disk, which counts once.
struct SpaceSum {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;
};
SpaceSum sum_space(const std::vector<StatusReply>& replies);

}  // namespace skein
