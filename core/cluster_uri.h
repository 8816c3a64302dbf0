// What a person or script writes to name something in a cluster:
//   PYME-CLUSTER://name/path   pyme-cluster://name/path   skein://name/path
//   PYME-CLUSTER:///path       the triple slash: no filter, every visible node
//   /path or path              no cluster named: the caller's default applies
// Source: docs/wire.md, "Names, discovery, URIs".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/path.h"

namespace skein {

struct ClusterUri {
  std::optional<std::string> cluster;  // nullopt: not named; "": every visible node
  ClusterPath path;
};

// Errors: invalid_argument for an unknown scheme or a bad path; filename_too_long.
Result<ClusterUri> parse_cluster_uri(std::string_view text);

}  // namespace skein
