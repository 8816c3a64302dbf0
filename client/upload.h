// Stores one whole file in the cluster: refuses a name that any answering node has, picks the least
// recently written node, and on failure goes on with the next one from the bytes still held. After
// an unclear failure it asks the node whether it has the file before placing it again.
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
  // no_space_on_device if every node is full; host_unreachable if no node could be reached;
  // else the last node's error. Tries each node at most once.
  Result<Node> upload(const ClusterPath& path, const PutBody& body,
                      const NodeClient::Progress& progress = {});

 private:
  NodeClient& client_;
  Placement& placement_;
  Membership& membership_;
};

}  // namespace skein
