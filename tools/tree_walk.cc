#include "tools/tree_walk.h"

#include <vector>

#include "tools/targets.h"

namespace skein {
namespace {

struct Level {
  ClusterPath path;
  Listing listing;
  std::size_t next = 0;
};

// The bits that the parent's listing would show (docs/wire.md, "Directory listing").
Entry entry_of(const Listing& listing) {
  Entry entry{Entry::kDirectory, static_cast<std::int64_t>(listing.size())};
  if (listing.find("metadata.json") != nullptr) entry.type |= Entry::kSeries;
  if (listing.find("events.json") != nullptr) entry.type |= Entry::kSeriesComplete;
  return entry;
}

}  // namespace

void walk(Session& session, Messages& messages, const ClusterPath& top, Listing listing,
          const WalkCallbacks& callbacks) {
  std::vector<Level> levels;
  levels.push_back({top, std::move(listing)});
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.next == level.listing.size()) {
      levels.pop_back();
      continue;
    }
    const NamedEntry& named = level.listing.entries()[level.next++];
    auto path = level.path.child(named.name);
    if (!path) {
      callbacks.failed(level.path, path.error());
      continue;
    }
    const bool enter = callbacks.visit(*path, named.entry, levels.size());
    if (!enter || !named.entry.is_directory()) continue;
    auto below = session.list(*path, messages);
    if (below) {
      levels.push_back({std::move(*path), std::move(*below)});
    } else {
      callbacks.failed(*path, without_path(below.error(), *path));
    }
  }
}

Result<Found> find_path(Session& session, Messages& messages, const ClusterPath& path) {
  auto listing = session.list(path, messages);
  if (listing) {
    const Entry entry = entry_of(*listing);
    return Found{entry, std::move(*listing)};
  }
  if (listing.error().code == std::errc::no_such_file_or_directory) {
    return Error{listing.error().code, "no such file or directory"};
  }
  if (listing.error().code != std::errc::not_a_directory) {
    return without_path(listing.error(), path);
  }
  auto located = session.downloader().find(path);
  if (!located) return without_path(located.error(), path);
  const auto size = static_cast<std::int64_t>(located->copies.front().info.size_bytes);
  return Found{Entry{0, size}, Listing()};
}

}  // namespace skein
