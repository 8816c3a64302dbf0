// Stores one whole file in the cluster: refuses a name that any answering node has, picks the least
// recently written node, and on failure goes on with the next one from the bytes still held. After
// an unclear failure it reads back what the node has before it claims success or places the file
// again; if the node can't be asked, the file is placed again, and the cluster may end up with two
// equal copies. Nodes that fail are reported to the membership.
//
// A node that is silent when the name is checked does not stop the upload: the price of going on
// without it is that it may turn out to hold that name already.
// Thread-safe; the references outlive it.
#pragma once

#include <string>

#include "client/node_client.h"
#include "client/placement.h"
#include "core/error.h"
#include "core/node.h"
#include "core/path.h"
#include "discovery/membership.h"

namespace skein {

class Uploader {
 public:
  Uploader(NodeClient& client, Placement& placement, Membership& membership);

  // Returns the node that has it now. Errors: file_exists (also if the name is a directory);
  // no_space_on_device if every node that could be reached is full; host_unreachable if none could;
  // invalid_argument for a path that can't be a file; operation_canceled if `body` is a file that
  // can't be read; else the last node's refusal. Tries each node at most once, so it ends within a
  // few timeouts per node.
  Result<Node> upload(const ClusterPath& path, const PutBody& body,
                      const NodeClient::Progress& progress = {});

 private:
  class Attempt;

  NodeClient& client_;
  Placement& placement_;
  Membership& membership_;
};

}  // namespace skein
