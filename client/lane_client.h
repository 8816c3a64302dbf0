// The client's end of the lane (core/lane.h): node-local files without HTTP. Connections are made
// when first needed, each used by one call at a time, and kept for the next, a few per node.
//
// A lane that can't be used (other host, no socket, stale socket, another node behind it) is no
// trouble of the node: calls say not_supported, and HTTP is the way. Thread-safe; each call ends
// within the timeout.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/fd.h"
#include "core/lane.h"
#include "core/node.h"
#include "core/path.h"

namespace skein {

class LaneClient {
 public:
  explicit LaneClient(std::chrono::milliseconds timeout);
  ~LaneClient();

  // True if `node` is on this host and its lane answered with the node's own id. Costs no message
  // while a connection is kept; a node that did not answer is not asked again for two seconds.
  bool reaches(const Node& node);

  struct OpenFile {
    Fd fd;  // read-only
    std::uint64_t size_bytes = 0;
  };
  // nullopt: the node has no such file. Errors: not_supported (no lane), timed_out, others as
  // open(2).
  Result<std::optional<OpenFile>> open(const Node& node, const ClusterPath& path);

  // An invisible file on the node's own disk, to be written through `fd` and sealed. Closing the
  // Stage without sealing drops it; a process that dies with one that check() found good leaves it
  // to the node (next_kept()). The stage has a lane connection of its own, and may outlive the
  // LaneClient. Errors: not_supported (no lane), timed_out, file_exists, no_space_on_device.
  class Stage;
  Result<std::unique_ptr<Stage>> create(const Node& node, const ClusterPath& path);

  // A file whose writer on this host died after its close succeeded and before its seal; the node
  // keeps the bytes (docs/wire.md, "Lane"). Errors of the three: not_supported (no lane),
  // timed_out, not_connected (no reply), others as the node says.
  struct Kept {
    std::string id;
    ClusterPath path;  // that it was meant for
    std::uint64_t size_bytes = 0;
    Fd fd;  // read-only
  };
  // The one after `after`, in the order of ids; "" asks for the first. nullopt: no more.
  Result<std::optional<Kept>> next_kept(const Node& node, const std::string& after);
  // Takes an empty directory away from this node. Errors: directory_not_empty,
  // no_such_file_or_directory; not_supported (no lane, or an older node), timed_out, not_connected
  // (no reply).
  Result<void> remove_directory(const Node& node, const ClusterPath& path);
  // Errors: file_exists; then it is still kept.
  Result<void> publish_kept(const Node& node, const std::string& id, const ClusterPath& path);
  Result<void> drop_kept(const Node& node, const std::string& id);

 private:
  Result<LaneReply> ask(const Node& node, const LaneRequest& request, const std::string& what);

  class Lanes;
  const std::shared_ptr<Lanes> lanes_;
};

// One thread at a time.
class LaneClient::Stage {
 public:
  virtual ~Stage() = default;
  virtual int fd() const = 0;  // read-write; valid until seal()
  virtual const Node& node() const = 0;
  // False: the node closed the connection, so the stage is gone. Asks nobody.
  virtual bool is_connected() const = 0;
  // Would a seal now succeed? Errors: file_exists, no_space_on_device, host_unreachable (the node
  // is gone, and the stage with it), timed_out, others as the node says.
  virtual Result<void> check() = 0;
  // The name that check() and seal() speak of from now on: the file was renamed before its seal.
  virtual void aim_at(const ClusterPath& path) = 0;
  // Closes the fd and publishes. The bytes are the file's size as it is. Who wants to keep them
  // for the case of an error opens the file once more, read-only, before. May be called once.
  // Errors: file_exists, no_space_on_device, host_unreachable (the node was gone before it could
  // be asked: not published), not_connected (no reply: whether it was published is unknown).
  virtual Result<void> seal() = 0;
};

}  // namespace skein
