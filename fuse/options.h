// What skein-mount was asked to do: its own command line, or the one mount(8) gives to
// mount.fuse.skein, over the settings of core/config.h.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/error.h"
#include "core/node.h"

namespace skein {

// Exit statuses of skein-mount, documented in its --help.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNoNode = 3;

struct MountOptions {
  std::filesystem::path mount_point;  // absolute
  std::string cluster;                // "" matches every node
  std::vector<NodeAddress> nodes;
  bool mdns = true;
  bool registry = true;
  bool foreground = false;
  bool read_only = false;
  bool allow_other = false;
  bool bypass = true;       // use lanes of nodes on this host
  bool passthrough = true;  // let the kernel read and write node-local files itself
  bool seal_on_kill = false;
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t umask = 022;
  std::chrono::milliseconds start_wait{5000};  // for the first node; 0 = mount without
  std::chrono::milliseconds deadline{5000};
  std::chrono::milliseconds listing_trust{2500};
  std::filesystem::path cache_dir;
  std::uint64_t cache_bytes = 0;
  std::filesystem::path spool_dir;
  std::uint64_t spool_bytes = 0;
  std::uint16_t metrics_port = 0;  // of 127.0.0.1; 0 = none
  std::string log_level = "info";
  std::string log_file;                   // "" = stderr
  std::vector<std::string> kernel_options;  // for mount(2): ro, nodev, ...
};

// A request that is answered by printing: --help, --version.
struct TextToPrint {
  std::string text;
};

// `arguments` without the program's name; `helper`: in the form of mount(8),
// SOURCE MOUNTPOINT [-sfnv] [-t TYPE] [-o OPTION,...]. Errors: invalid_argument, `what` is the line
// for the user. `print` is filled instead when something is to be printed.
Result<MountOptions> parse_mount_options(Config config, std::span<const std::string> arguments,
                                         bool helper, TextToPrint* print);

// True for "mount.skein" and "mount.fuse.skein", by the last component.
bool is_mount_helper(std::string_view program);

}  // namespace skein
