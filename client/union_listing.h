// One directory as all nodes together show it, asked of all of them at once.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/node_client.h"
#include "core/error.h"
#include "core/listing.h"
#include "core/node.h"
#include "core/path.h"

namespace skein {

// What one node said.
struct NodeShare {
  enum class Kind { kListed, kUnchanged, kAbsent, kSilent };
  Node node;
  Kind kind = Kind::kSilent;
  Listing listing;   // kListed
  std::string etag;  // kListed, kUnchanged
  std::optional<Error> error;  // kSilent
};

// What each node said, in the order of `nodes`.
std::vector<NodeShare> shares_of(const NodeList& nodes,
                                 std::vector<Result<std::optional<NodeListing>>> listings);

// Asks every node at once; returns one share each, in the order of `nodes`, within about the
// client's timeout. `known_etags` by Node::key(); may be empty.
std::vector<NodeShare> list_on_all(NodeClient& client, const NodeList& nodes,
                                   const ClusterPath& path,
                                   const std::map<std::string, std::string>& known_etags);

struct UnionListing {
  Listing listing;
  std::vector<Node> silent;  // their share is missing
};

// The merged listing, for callers without a cache. Errors: no_such_file_or_directory if no node
// has the directory and none was silent; host_unreachable if nobody answered or nodes is empty;
// not_a_directory if it is a file.
Result<UnionListing> list_union(NodeClient& client, const NodeList& nodes, const ClusterPath& path);

}  // namespace skein
