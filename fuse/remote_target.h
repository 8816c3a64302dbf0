// The way of one new file to a node over HTTP: made safe as a stage when its writer closes it, large
// ones in pieces and the first of these while it is being written; made visible at the seal. A node
// that fails is replaced by the next one from the bytes still held; a node that knows no stages
// (PYME's) gets the file whole at the seal.
//
// One thread at a time. The bytes are borrowed for each call, and may change between calls.
#pragma once

#include <chrono>
#include <functional>
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
#include "fuse/unsent_bytes.h"

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
  // The same for a large file: sends what the node lacks of its first `size_bytes` bytes.
  struct Growing {
    int fd = -1;
    UnsentBytes& unsent;
  };
  Result<void> stage_rest(const ClusterPath& path, const Growing& file, std::uint64_t size_bytes);
  // One piece of a file that is being written, if there is one in order. Errors: not_supported and
  // operation_canceled: nothing can be sent ahead; others as above. After any of them the stage is
  // begun anew by the next call, maybe on another node.
  Result<void> stage_ahead(const ClusterPath& path, const Growing& file);
  // A node has something of the file from stage_ahead() or stage_rest().
  bool has_pieces() const { return pieces_on_.has_value(); }
  // `staged`: the last stage() holds these very bytes.
  Result<void> publish(const ClusterPath& path, const PutBody& body, bool staged);
  // Forgets the stage on the node, whole or not, if there is one. A node that cannot be asked drops it by age.
  void drop();

  // Key of the node that stage() turns to first; "" = not chosen.
  std::string first_key() const { return node_ ? node_->key() : std::string(); }
  const std::string& stage_id() const { return stage_id_; }
  // Where a stage may lie, whole or not; nullopt = nowhere.
  const std::optional<Node>& staged_on() const { return staged_on_; }

 private:
  using Send = std::function<Result<void>(const Node&)>;
  Result<void> on_some_node(const Send& send);
  Result<void> begin_pieces(const Node& node, const ClusterPath& path, const Growing& file);
  Result<void> send_rest(const Node& node, const ClusterPath& path, const Growing& file,
                         std::uint64_t size_bytes);
  // The current node, or the next one. Errors: as above, when there is none left.
  Result<Node> next_node();
  void failed(const Node& node, const Error& why);
  Result<void> publish_stage(const ClusterPath& path, const PutBody& body);

  const Cluster cluster_;
  const std::string stage_id_;
  std::optional<Node> node_;
  std::optional<Node> staged_on_;
  std::optional<Node> pieces_on_;  // has the stage but for what is unsent
  std::set<std::string> excluded_;  // keys of nodes that failed in this call
  std::optional<Error> last_error_;
};

}  // namespace skein
