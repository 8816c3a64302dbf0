#include "cache/refresh.h"

#include <algorithm>
#include <map>
#include <set>

#include "client/union_listing.h"

namespace skein {
namespace {

// Another process that stores the same directory in the same milliseconds again and again is no
// reason to ask for ever: the last answer is stored whatever is there, or what is there is as good.
constexpr int kMostRounds = 3;

}  // namespace

// What the answers mean for the shares that are stored.
struct Refresh::Sorted {
  std::vector<StoredShare> fresh;    // listed now
  std::set<std::string> retained;    // node keys whose stored share holds
  std::map<std::string, std::string> confirmed;  // retained and asked: the ETag that was confirmed
  std::vector<Node> missing;
  std::size_t answered = 0;
  std::size_t silent = 0;
  bool changed = false;

  bool is_missing(const std::string& key) const {
    return std::any_of(missing.begin(), missing.end(),
                       [&](const Node& node) { return node.key() == key; });
  }
};

Result<Refresh::Outcome> Refresh::run(Inode directory, const ClusterPath& path,
                                      bool in_full) const {
  for (int round = 1; round < kMostRounds; ++round) {
    auto outcome = once(directory, path, in_full, false);
    if (outcome || outcome.error().code != std::errc::resource_unavailable_try_again) {
      return outcome;
    }
  }
  return once(directory, path, in_full, true);
}

Result<Refresh::Outcome> Refresh::once(Inode directory, const ClusterPath& path, bool in_full,
                                       bool overwrite) const {
  auto heads = tree.share_heads(directory);
  if (!heads) return heads.error();
  std::map<std::string, std::string> etags;
  if (!in_full) etags = heads->etags;
  std::erase_if(etags, [](const auto& known) { return known.second.empty(); });

  const NodeSnapshot asked = membership.nodes();
  Sorted sorted = sort(*heads, *asked, list_on_all(client, *asked, path, etags));
  if (sorted.answered == 0) return without_answer(directory, path, *heads, sorted.missing);
  const bool complete = sorted.silent == 0;
  if (sorted.fresh.empty() && sorted.retained.empty() && sorted.missing.empty() &&
      !path.is_root()) {
    return gone(directory, path);
  }
  if (!sorted.changed) return Outcome{std::move(sorted.missing), complete, heads->version};

  std::vector<StoredShare> shares = std::move(sorted.fresh);
  if (!sorted.retained.empty()) {
    auto stored = tree.shares(directory);
    if (!stored) return stored.error();
    for (StoredShare& share : *stored) {
      if (!sorted.retained.contains(share.node_key)) continue;
      // Own names that it may hold are kept until it is back; then its whole listing decides.
      if (sorted.is_missing(share.node_key)) share.etag.clear();
      shares.push_back(std::move(share));
    }
  }
  // By key, as a snapshot of the membership: the order decides whose file size is shown.
  std::sort(shares.begin(), shares.end(),
            [](const auto& a, const auto& b) { return a.node_key < b.node_key; });
  std::vector<const Listing*> listings;
  for (const StoredShare& share : shares) listings.push_back(&share.listing);
  Tree::StoreOptions how;
  // A node that is set aside may hold what this client stored a moment ago.
  how.complete = complete && sorted.missing.empty();
  if (!overwrite) how.expected_version = heads->version;
  // A million names are 80 MB: most directories are on one node, and need no copy.
  auto stored = shares.size() == 1
                    ? tree.store_listing(directory, shares.front().listing, shares, how)
                    : tree.store_listing(directory, merge(listings), shares, how);
  const bool beaten =
      !stored && stored.error().code == std::errc::resource_unavailable_try_again;
  if (!stored && !(beaten && overwrite)) return stored.error();
  auto now = tree.share_heads(directory);
  if (!now) return now.error();
  return Outcome{std::move(sorted.missing), complete, now->version};
}

Refresh::Sorted Refresh::sort(const ShareHeads& heads, const NodeList& asked,
                              std::vector<NodeShare> shares) const {
  Sorted sorted;
  std::set<std::string> asked_keys;
  for (const Node& node : asked) asked_keys.insert(node.key());
  for (NodeShare& share : shares) {
    const std::string key = share.node.key();
    const bool known = heads.etags.contains(key);
    switch (share.kind) {
      case NodeShare::Kind::kListed:
        sorted.fresh.push_back({key, std::move(share.etag), std::move(share.listing)});
        sorted.changed = true;
        break;
      case NodeShare::Kind::kUnchanged:
        sorted.retained.insert(key);
        break;
      case NodeShare::Kind::kAbsent:
        sorted.changed |= known;
        break;
      case NodeShare::Kind::kSilent:
        if (share.error) membership.report_failure(key, *share.error);
        if (known) sorted.retained.insert(key);
        sorted.missing.push_back(share.node);
        ++sorted.silent;
        continue;
    }
    ++sorted.answered;
  }
  std::map<std::string, Node> named;
  for (const NodeState& state : membership.states()) named.emplace(state.node.key(), state.node);
  for (const auto& [key, etag] : heads.etags) {
    if (asked_keys.contains(key)) continue;
    const auto node = named.find(key);
    if (node == named.end() && has_left(key)) {
      sorted.changed = true;
      continue;
    }
    sorted.retained.insert(key);
    Node unknown;
    unknown.id = key;
    sorted.missing.push_back(node == named.end() ? unknown : node->second);
  }
  // Set aside or not proven yet, and never heard about this directory: still part of the cluster.
  for (const auto& [key, node] : named) {
    if (!asked_keys.contains(key) && !heads.etags.contains(key)) sorted.missing.push_back(node);
  }
  return sorted;
}

Result<Refresh::Outcome> Refresh::without_answer(Inode directory, const ClusterPath& path,
                                                 const ShareHeads& heads,
                                                 std::vector<Node> missing) const {
  if (heads.etags.empty()) {
    auto known = tree.names(directory, "", 1);
    if (!known) return known.error();
    if (known->empty()) {
      return Error{std::errc::host_unreachable, "list /" + path.text() + ": no node answered"};
    }
  }
  return Outcome{std::move(missing), false, heads.version};
}

// Every node answered that it has no such directory.
Result<Refresh::Outcome> Refresh::gone(Inode directory, const ClusterPath& path) const {
  if (const auto place = tree.place(directory)) {
    if (auto removed = tree.remove(place->parent, place->name); !removed) return removed.error();
  }
  return Error{std::errc::no_such_file_or_directory, "list /" + path.text() + ": no node has it"};
}

}  // namespace skein
