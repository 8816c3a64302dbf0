#include "client/union_listing.h"

namespace skein {

std::vector<NodeShare> shares_of(const NodeList& nodes,
                                 std::vector<Result<std::optional<NodeListing>>> listings) {
  std::vector<NodeShare> shares(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    NodeShare& share = shares[i];
    share.node = nodes[i];
    if (!listings[i]) {
      share.kind = NodeShare::Kind::kSilent;
      share.error = listings[i].error();
    } else if (!*listings[i]) {
      share.kind = NodeShare::Kind::kAbsent;
    } else {
      NodeListing& given = **listings[i];
      share.kind = given.unchanged ? NodeShare::Kind::kUnchanged : NodeShare::Kind::kListed;
      share.listing = std::move(given.listing);
      share.etag = std::move(given.etag);
    }
  }
  return shares;
}

std::vector<NodeShare> list_on_all(NodeClient& client, const NodeList& nodes,
                                   const ClusterPath& path,
                                   const std::map<std::string, std::string>& known_etags) {
  return shares_of(nodes, client.list_all(nodes, path, known_etags));
}

Result<UnionListing> list_union(NodeClient& client, const NodeList& nodes,
                                const ClusterPath& path) {
  const std::string what = "list /" + path.text();
  const std::vector<NodeShare> shares = list_on_all(client, nodes, path, {});
  UnionListing found;
  std::vector<const Listing*> listings;
  std::optional<Error> trouble;
  for (const NodeShare& share : shares) {
    if (share.kind == NodeShare::Kind::kListed) listings.push_back(&share.listing);
    if (share.kind != NodeShare::Kind::kSilent) continue;
    found.silent.push_back(share.node);
    trouble = share.error;
  }
  if (!listings.empty()) {
    found.listing = merge(listings);
    return found;
  }
  if (trouble) return Error{std::errc::host_unreachable, trouble->what};
  if (nodes.empty()) return Error{std::errc::host_unreachable, what + ": no node is known"};
  for (const auto& info : client.stat_all(nodes, path)) {
    if (info && *info && !(*info)->is_directory) {
      return Error{std::errc::not_a_directory, what + ": it is a file"};
    }
  }
  return Error{std::errc::no_such_file_or_directory, what + ": no such directory"};
}

}  // namespace skein
