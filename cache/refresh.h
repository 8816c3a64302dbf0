// One refresh of one directory: asks all nodes, decides whose share holds, and stores the result.
// The rules are in directories.h. No state of its own between two refreshes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cache/tree.h"
#include "client/node_client.h"
#include "client/union_listing.h"
#include "core/error.h"
#include "core/node.h"
#include "core/path.h"
#include "discovery/membership.h"

namespace skein {

struct Refresh {
  Tree& tree;
  NodeClient& client;
  Membership& membership;
  // Whether a node that no source names has left for good.
  std::function<bool(const std::string& node_key)> has_left;

  struct Outcome {
    std::vector<Node> missing;  // share stale or not there
    bool complete = false;      // every node answered
    std::uint64_t version = 0;  // of what is stored now (ShareHeads::version)
  };
  // `in_full`: without the ETags, so that every node lists anew. Errors: as Directories::refresh().
  Result<Outcome> run(Inode directory, const ClusterPath& path, bool in_full) const;

 private:
  struct Sorted;
  Result<Outcome> once(Inode directory, const ClusterPath& path, bool in_full,
                       bool overwrite) const;
  Sorted sort(const ShareHeads& heads, const NodeList& asked, std::vector<NodeShare> shares) const;
  Result<Outcome> without_answer(Inode directory, const ClusterPath& path, const ShareHeads& heads,
                                 std::vector<Node> missing) const;
  Result<Outcome> gone(Inode directory, const ClusterPath& path) const;
};

}  // namespace skein
