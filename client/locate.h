// Finds the copies of a file, asking every node at once.
#pragma once

#include <vector>

#include "client/node_client.h"
#include "core/node.h"
#include "core/path.h"

namespace skein {

struct Copy {
  Node node;
  FileInfo info;
};

struct Located {
  std::vector<Copy> copies;  // this host's node first, then in the order of `nodes`
  std::vector<Node> silent;  // could not be asked
};

Located locate(NodeClient& client, const NodeList& nodes, const ClusterPath& path);

}  // namespace skein
