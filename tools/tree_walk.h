// Everything below one directory of the cluster, depth first, in the order of names.
#pragma once

#include <functional>
#include <string>

#include "core/entry.h"
#include "core/listing.h"
#include "tools/session.h"

namespace skein {

struct WalkCallbacks {
  // For each entry, a directory before what is in it. Returns whether to enter a directory.
  std::function<bool(const ClusterPath& path, const Entry& entry, std::size_t depth)> visit;
  // For a directory that could not be listed, or a name that is no path.
  std::function<void(const ClusterPath& path, const Error& why)> failed;
};

// `listing`: of `top`, whose entries have depth 1. Holds the listings of one path down the tree.
void walk(Session& session, Messages& messages, const ClusterPath& top, Listing listing,
          const WalkCallbacks& callbacks);

// What a cluster path is: a directory with its listing, or a file with its size.
struct Found {
  Entry entry;
  Listing listing;  // of a directory
};
// Errors: no_such_file_or_directory, host_unreachable; `what` leaves the path out.
Result<Found> find_path(Session& session, Messages& messages, const ClusterPath& path);

}  // namespace skein
