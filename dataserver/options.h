// The command line of skein-dataserver on top of the settings (core/config.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/node.h"
#include "dataserver/lane_access.h"

namespace skein {

struct ServerOptions {
  enum class Advertise { kMdns, kLocal, kNone };

  std::string root;
  NodeAddress bind;  // as to be listened on; "0.0.0.0" for all addresses
  std::string cluster;
  Advertise advertise = Advertise::kMdns;
  bool lane = true;
  LaneAccess lane_access;
  std::size_t connections = 0;
  std::size_t threads = 0;
  std::chrono::milliseconds stall{};
  std::uint64_t reserve_bytes = 0;
  bool sync = false;  // acknowledge what is safe from a power cut, not before
  std::vector<std::string> mirror_from;         // "host" or "host:port"
  std::chrono::milliseconds node_deadline{};  // longest wait for another node
  std::string user;  // to give root's rights up for; empty: stay who we are
  std::string log_level;
};

struct ParsedCommandLine {
  bool run = false;
  int exit_status = 0;  // if not to run
  ServerOptions options;
};

// Prints help, the version, or one line about what is wrong, itself.
ParsedCommandLine parse_command_line(int argc, char** argv);

}  // namespace skein
