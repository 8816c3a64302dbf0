#include "core/listing.h"

#include <algorithm>

namespace skein {
namespace {

bool before(const NamedEntry& a, const NamedEntry& b) {
  if (const int order = a.name.compare(b.name); order != 0) return order < 0;
  return a.entry.is_directory() < b.entry.is_directory();
}

bool same_key(const NamedEntry& a, const NamedEntry& b) {
  return a.entry.is_directory() == b.entry.is_directory() && a.name == b.name;
}

}  // namespace

Listing::Listing(std::vector<NamedEntry> entries) : entries_(std::move(entries)) {
  if (!std::is_sorted(entries_.begin(), entries_.end(), before)) {
    std::stable_sort(entries_.begin(), entries_.end(), before);
  }
  // Keep the last of each run of equal keys: unique() from the back keeps the first it meets.
  const auto first = std::unique(entries_.rbegin(), entries_.rend(), same_key);
  entries_.erase(entries_.begin(), first.base());
}

const Entry* Listing::find(std::string_view name) const {
  const auto after =
      std::upper_bound(entries_.begin(), entries_.end(), name,
                       [](std::string_view n, const NamedEntry& e) { return n < e.name; });
  if (after == entries_.begin() || std::prev(after)->name != name) return nullptr;
  return &std::prev(after)->entry;
}

Listing merge(std::span<const Listing* const> shares) {
  if (shares.size() == 1) return *shares.front();
  std::vector<NamedEntry> all;
  std::size_t total = 0;
  for (const Listing* share : shares) total += share->size();
  all.reserve(total);
  for (const Listing* share : shares) {
    const auto middle = static_cast<std::ptrdiff_t>(all.size());
    all.insert(all.end(), share->entries().begin(), share->entries().end());
    // Stable: of equal keys the earlier share stays first.
    std::inplace_merge(all.begin(), all.begin() + middle, all.end(), before);
  }
  std::vector<NamedEntry> merged;
  merged.reserve(all.size());
  for (NamedEntry& next : all) {
    if (merged.empty() || !same_key(merged.back(), next)) {
      merged.push_back(std::move(next));
      continue;
    }
    Entry& kept = merged.back().entry;
    kept.type |= next.entry.type;
    kept.size = kept.is_directory() ? kept.size + next.entry.size : next.entry.size;
  }
  return Listing(std::move(merged));
}

}  // namespace skein
