// The way of one new file to a node over HTTP: made safe as a stage when its writer closes it, made
// visible at the seal. A node that fails is replaced by the next one from the bytes still held; a
// node that knows no stages (PYME's) gets the file whole at the seal.
//
// One thread at a time. The bytes are borrowed for each call, and may change between calls.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>

#include "client/node_client.h"
#include "client/placement.h"
#include "client/upload.h"
#include "core/error.h"
#include "core/node.h"
#include "core/path.h"
#include "discovery/membership.h"

namespace skein {

class RemoteTarget {
 public:
  struct Cluster {
    NodeClient& client;
    Placement& placement;
    Membership& membership;
    Uploader& uploader;
    std::chrono::milliseconds deadline;  // after failures for this long no further node is tried
  };
  // `first`: the node placement chose; nullopt = choose when needed.
  RemoteTarget(Cluster cluster, std::optional<Node> first);

  // Errors of both: file_exists; no_space_on_device if every node is full; host_unreachable if no
  // node could be reached; else the last node's.
  Result<void> stage(const ClusterPath& path, const PutBody& body);
  // `staged`: the last stage() holds these very bytes.
  Result<void> publish(const ClusterPath& path, const PutBody& body, bool staged);
  // Forgets the stage on the node, if there is one. A node that cannot be asked drops it by age.
  void drop();

  // Key of the node that stage() turns to first; "" = not chosen.
  std::string first_key() const { return node_ ? node_->key() : std::string(); }
  const std::string& stage_id() const { return stage_id_; }
  // Where the stage lies; nullopt = nowhere.
  const std::optional<Node>& staged_on() const { return staged_on_; }

 private:
  // The current node, or the next one. Errors: as above, when there is none left.
  Result<Node> next_node();
  void failed(const Node& node, const Error& why);
  Result<void> publish_stage(const ClusterPath& path, const PutBody& body);

  const Cluster cluster_;
  const std::string stage_id_;
  std::optional<Node> node_;
  std::optional<Node> staged_on_;
  std::set<std::string> excluded_;  // keys of nodes that failed in this call
  std::optional<Error> last_error_;
};

}  // namespace skein
