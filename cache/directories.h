// Directories of the cluster as a caller sees them: the stored tree while it is trusted, refreshed
// from all nodes at once when it is not. One refresh per directory at a time: others wait for it.
// A silent node keeps its last share, and the directory is marked incomplete.
//
// Positive facts about sealed files do not age; a name not in a trusted listing does not exist.
// Thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cache/tree.h"
#include "client/node_client.h"
#include "client/union_listing.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"
#include "discovery/membership.h"

namespace skein {

class Directories {
 public:
  struct Options {
    std::chrono::milliseconds listing_trust{2500};
    Clock now = real_clock();
  };
  Directories(Tree& tree, NodeClient& client, Membership& membership, Options options);
  ~Directories();

  // The entry of `name` in `directory`. Known sealed files are answered from the tree without
  // asking. Errors: no_such_file_or_directory; host_unreachable (unknown, and no node answered).
  Result<TreeEntry> lookup(Inode directory, std::string_view name);

  // Makes the stored names of the directory no older than the trust time, asking if need be.
  // Returns the nodes whose share is stale or missing (empty = complete). Errors:
  // no_such_file_or_directory, not_a_directory; host_unreachable if nothing is known and nobody
  // answered.
  Result<std::vector<Node>> refresh(Inode directory);

  // Cluster path of an inode, from the tree. Errors: no_such_file_or_directory (stale).
  Result<ClusterPath> path_of(Inode inode);

  // Own writes are visible at once.
  Result<TreeEntry> note_created(Inode directory, std::string_view name, const Entry& entry);
  // The next lookup or refresh asks the nodes.
  void distrust(Inode directory);
  void distrust_all();

  Tree& tree() { return tree_; }

 private:
  struct State;
  Tree& tree_;
  NodeClient& client_;
  Membership& membership_;
  const Options options_;
  const std::unique_ptr<State> state_;
};

}  // namespace skein
