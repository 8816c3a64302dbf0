#include "cache/refresh.h"

#include <algorithm>
#include <map>
#include <set>

#include "client/union_listing.h"

namespace skein {
namespace {

// Another process that stores the same directory in the same milliseconds again and again is no
// reason to ask for ever: the last answer is stored whatever is there, or what is there is as good.
constexpr int kMostTries = 3;

}  // namespace

// What the answers mean for the shares that are stored.
struct Refresh::Sorted {
  std::vector<StoredShare> fresh;    // listed now
  std::set<std::string> retained;    // node keys whose stored share holds
  std::vector<Node> missing;
  std::size_t answered = 0;
  std::size_t silent = 0;
  bool changed = false;

  bool is_missing(const std::string& key) const {
    return std::any_of(missing.begin(), missing.end(),
                       [&](const Node& node) { return node.key() == key; });
  }
};

bool Refresh::advance(Deadline deadline) {
  if (!round_) {
    if (auto begun = begin(); !begun) return outcome_.emplace(begun.error()), true;
  }
  round_->advance(deadline);
  takes_long_ = takes_long_ || round_->takes_long();
  if (!round_->done()) return store_final(), false;
  auto outcome = conclude(++tries_ == kMostTries);
  round_.reset();
  const bool beaten =
      !outcome && outcome.error().code == std::errc::resource_unavailable_try_again;
  if (beaten && tries_ < kMostTries) return false;
  outcome_.emplace(std::move(outcome));
  return true;
}

Result<void> Refresh::begin() {
  auto heads = parts_.tree.share_heads(directory_);
  if (!heads) return heads.error();
  heads_ = std::move(*heads);
  // With shares of before, a name that is final may have gone from one of them.
  stores_final_ = heads_.etags.empty();
  std::map<std::string, std::string> etags;
  if (!in_full_) etags = heads_.etags;
  std::erase_if(etags, [](const auto& known) { return known.second.empty(); });
  asked_ = parts_.membership.nodes();
  asked_at_ = parts_.now();
  round_ = parts_.client.begin_listing(asked_, path_, etags);
  return {};
}

void Refresh::store_final() {
  if (!stores_final_) return;
  const std::vector<NamedEntry> names = round_->take_final();
  if (names.empty()) return;
  // Trouble of the tree shows again when all of it is stored.
  stores_final_ = parts_.tree.add_listed(directory_, names).ok();
  if (stores_final_) stored_through_ = names.back().name;
}

Result<Refresh::Outcome> Refresh::conclude(bool overwrite) {
  Sorted sorted = sort(*asked_, shares_of(*asked_, round_->take_listings()));
  if (sorted.answered == 0) return without_answer(std::move(sorted.missing));
  const bool complete = sorted.silent == 0;
  if (sorted.fresh.empty() && sorted.retained.empty() && sorted.missing.empty() &&
      !path_.is_root()) {
    return gone();
  }
  if (!sorted.changed) return Outcome{std::move(sorted.missing), complete, heads_.version};
  return store(std::move(sorted), complete, overwrite);
}

Result<Refresh::Outcome> Refresh::store(Sorted sorted, bool complete, bool overwrite) {
  std::vector<StoredShare> shares = std::move(sorted.fresh);
  if (!sorted.retained.empty()) {
    auto stored = parts_.tree.shares(directory_);
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
  how.age = std::chrono::ceil<std::chrono::seconds>(parts_.now() - asked_at_);
  if (!overwrite) how.expected_version = heads_.version;
  // A million names are 80 MB: most directories are on one node, and need no copy.
  Tree& tree = parts_.tree;
  auto stored = shares.size() == 1
                    ? tree.store_listing(directory_, shares.front().listing, shares, how)
                    : tree.store_listing(directory_, merge(listings), shares, how);
  const bool beaten =
      !stored && stored.error().code == std::errc::resource_unavailable_try_again;
  if (!stored && !(beaten && overwrite)) return stored.error();
  auto now = tree.share_heads(directory_);
  if (!now) return now.error();
  return Outcome{std::move(sorted.missing), complete, now->version};
}

Refresh::Sorted Refresh::sort(const NodeList& asked, std::vector<NodeShare> shares) const {
  Sorted sorted;
  std::set<std::string> asked_keys;
  for (const Node& node : asked) asked_keys.insert(node.key());
  for (NodeShare& share : shares) {
    const std::string key = share.node.key();
    const bool known = heads_.etags.contains(key);
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
        if (share.error) parts_.membership.report_failure(key, *share.error);
        if (known) sorted.retained.insert(key);
        sorted.missing.push_back(share.node);
        ++sorted.silent;
        continue;
    }
    ++sorted.answered;
  }
  std::map<std::string, Node> named;
  for (const NodeState& state : parts_.membership.states()) named.emplace(state.node.key(), state.node);
  for (const auto& [key, etag] : heads_.etags) {
    if (asked_keys.contains(key)) continue;
    const auto node = named.find(key);
    if (node == named.end() && parts_.has_left(key)) {
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
    if (!asked_keys.contains(key) && !heads_.etags.contains(key)) sorted.missing.push_back(node);
  }
  return sorted;
}

Result<Refresh::Outcome> Refresh::without_answer(std::vector<Node> missing) const {
  if (heads_.etags.empty()) {
    auto known = parts_.tree.names(directory_, "", 1);
    if (!known) return known.error();
    if (known->empty() || !stored_through_.empty()) {
      return Error{std::errc::host_unreachable, "list /" + path_.text() + ": no node answered"};
    }
  }
  return Outcome{std::move(missing), false, heads_.version};
}

// Every node answered that it has no such directory.
Result<Refresh::Outcome> Refresh::gone() const {
  if (const auto place = parts_.tree.place(directory_)) {
    if (auto removed = parts_.tree.remove(place->parent, place->name); !removed) return removed.error();
  }
  return Error{std::errc::no_such_file_or_directory, "list /" + path_.text() + ": no node has it"};
}

}  // namespace skein
