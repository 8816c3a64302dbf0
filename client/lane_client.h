// The client's end of the lane (core/lane.h): node-local files without HTTP. One connection each
// per LaneClient and node, made when first needed, remade after a failure. Thread-safe; each call
// ends within its deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/fd.h"
#include "core/node.h"
#include "core/path.h"

namespace skein {

class LaneClient {
 public:
  explicit LaneClient(std::chrono::milliseconds timeout);
  ~LaneClient();

  // True if `node` is on this host and its lane answered with the node's own id.
  bool reaches(const Node& node);

  struct OpenFile {
    Fd fd;  // read-only
    std::uint64_t size_bytes = 0;
  };
  // nullopt: the node has no such file. Errors: not_supported (no lane), others as open(2).
  Result<std::optional<OpenFile>> open(const Node& node, const ClusterPath& path);

  // An invisible file on the node's own disk, to be written through `fd` and sealed. Closing the
  // Stage without sealing drops it. The stage keeps a lane connection of its own.
  class Stage;
  Result<std::unique_ptr<Stage>> create(const Node& node, const ClusterPath& path);

 private:
  struct Connection;
  Result<std::shared_ptr<Connection>> connection(const Node& node);

  const std::chrono::milliseconds timeout_;

  std::mutex mutex_;  // guards everything below; never held across a call to a node
  std::map<std::string, std::shared_ptr<Connection>> connections_;  // by node id
};

// One thread at a time.
class LaneClient::Stage {
 public:
  virtual ~Stage() = default;
  virtual int fd() const = 0;  // read-write; valid until seal()
  virtual const Node& node() const = 0;
  // Would a seal now succeed? Errors: file_exists, no_space_on_device, as the lane.
  virtual Result<void> check() = 0;
  // Closes the fd and publishes. The bytes are the file's size as it is. Errors: file_exists,
  // no_space_on_device, host_unreachable (the node is gone), not_connected (unclear: ask).
  virtual Result<void> seal() = 0;
};

}  // namespace skein
