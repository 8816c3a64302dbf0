// A cluster of one host: data servers and perhaps a mount, as children of this process.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "tools/messages.h"
#include "tools/program.h"

namespace skein {

struct LocalClusterOptions {
  std::filesystem::path root;  // nodes are served from root/node1, root/node2, ...
  int nodes = 3;
  std::optional<std::filesystem::path> mount_point;
  std::string cluster;
  std::string advertise;  // mdns, local or none
};

struct RunningNode {
  std::string url;
  std::filesystem::path root;
  std::string id;
};

// The facts of a data server's line "ready url=http://ADDR:PORT/ root=DIR id=UUID cluster=NAME".
// Errors: bad_message.
Result<RunningNode> parse_ready_line(const std::string& line);

// True if something is mounted there, by /proc/self/mountinfo: a look at the mount itself could
// hang. `point`: absolute, without links.
bool is_mount_point(const std::filesystem::path& point);

// One thread at a time, the main thread.
class LocalCluster {
 public:
  // `messages` outlives it.
  LocalCluster(LocalClusterOptions options, Messages& messages);
  // Ends what still runs.
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  // Starts all and waits until they are ready. Errors: the first that failed; as mkdir(2);
  // device_or_resource_busy (something is mounted there). Then what runs is ended by stop().
  // `interrupted` is asked now and then; when it says true, the error is interrupted.
  Result<void> start(const std::function<bool()>& interrupted);

  const std::vector<RunningNode>& nodes() const { return nodes_; }
  const LocalClusterOptions& options() const { return options_; }

  // A child that is no more, and how that came: "node2 was killed by signal 9".
  std::optional<std::string> first_ended();

  // Mount first, then servers; each is asked, and killed if it does not end in time. False, with a
  // message, if one had to be killed or ended badly, or the mount point did not get free.
  // Idempotent.
  bool stop();

 private:
  Result<void> start_node(int number);
  Result<void> start_mount(const std::function<bool()>& interrupted);
  Result<void> prepare_mount_point();
  bool end(std::vector<Child>& children);
  bool release_mount_point();

  LocalClusterOptions options_;
  Messages& messages_;
  std::vector<Child> servers_;
  std::vector<Child> mounts_;  // none or one
  std::vector<RunningNode> nodes_;
  pid_t announced_ = -1;  // the child that first_ended() told of
  bool made_mount_point_ = false;
};

}  // namespace skein
