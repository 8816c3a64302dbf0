// The nodes of this host, as small files under the run directories: what makes a cluster of one
// work without mDNS and without a network, and how a mount finds the lanes.
//
// <run directory>/nodes/<node id>, made whole by rename. Lines of key=value, values percent-coded,
// unknown keys ignored:
//   v=1  id=  host=  port=  host_id=  cluster=  name=  lane=  pid=  pid_start=  pid_namespace=
// pid_start (field 22 of /proc/PID/stat) tells a process from a later one with the same number.
// Key=value rather than JSON: a shell script can read and write it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/node.h"

namespace skein {

inline constexpr std::size_t kMaxRegistryFileBytes = 8192;  // a lane path and a few names
inline constexpr std::size_t kMaxRegistryFiles = 1024;      // nodes of one host, per directory

struct RegistryEntry {
  Node node;
  pid_t pid = 0;
  std::uint64_t pid_start = 0;  // clock ticks since boot
  std::string pid_namespace;    // "" unknown
};

std::string registry_text(const RegistryEntry& entry);
// nullopt: not an entry (no id, no address).
std::optional<RegistryEntry> parse_registry_text(std::string_view text);

// False only if certain: the process was of our PID namespace and is gone.
bool may_be_running(const RegistryEntry& entry);

// The registry folder of a run directory.
std::filesystem::path registry_dir(const std::filesystem::path& run_dir);

// Entries of this host in `dir` whose process may be running, sorted by node id; empty if there is
// no such folder. Entries of dead processes are skipped, and removed if their file is ours.
std::vector<Node> read_registry(const std::filesystem::path& dir);

// The file of one node of this process; the destructor removes it.
class RegistryFile {
 public:
  // Makes the run directory and the folder as needed.
  // Errors: as make_run_dir(), open(2), write(2); invalid_argument if the node has no id.
  static Result<RegistryFile> write(const Node& node);

  ~RegistryFile();
  RegistryFile(RegistryFile&& other) noexcept;
  RegistryFile& operator=(RegistryFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit RegistryFile(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;  // empty when moved from
};

}  // namespace skein
