// How much room the cluster has: the disks of all nodes together, each disk of a host once.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "client/node_client.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/node.h"
#include "discovery/membership.h"

namespace skein {

struct DiskSpace {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;
  bool operator==(const DiskSpace&) const = default;
};

// "Disk" of a /__status reply (docs/wire.md, "Status"). Errors: bad_message.
Result<DiskSpace> parse_disk(std::string_view status_json);

struct HostDisk {
  std::string host_id;  // "" unknown: counted as a disk of its own
  DiskSpace space;
};
// Nodes on one host that report nearly the same size and room stand on one disk. Their reports are
// moments apart while data is written, hence "nearly".
DiskSpace sum_disks(const std::vector<HostDisk>& disks);

// Asks the nodes, at most once a second. Thread-safe; ends within about the client's timeout. A
// node that does not answer counts with what it last said.
class SpaceCounter {
 public:
  SpaceCounter(NodeClient& client, Membership& membership);
  DiskSpace count();

 private:
  NodeClient& client_;
  Membership& membership_;

  std::mutex mutex_;  // guards everything below; not held while nodes are asked
  TimePoint asked_{};
  DiskSpace sum_;
  std::vector<std::pair<std::string, HostDisk>> last_;  // by Node::key()
};

}  // namespace skein
