// Is the file on a node the one we meant to store? Asked after an unclear failure, when equal names
// and sizes do not tell our file from another writer's.
#pragma once

#include <span>

#include "client/node_client.h"
#include "core/error.h"
#include "core/node.h"
#include "core/path.h"

namespace skein {

enum class Sameness {
  kAbsent,
  kSame,       // read back and compared, byte for byte
  kDifferent,  // also: it is a directory
};

// The size is compared first, so that a difference is mostly found without reading. Errors: as
// NodeClient::stat() and stream(); io_error if `body` can't be read.
Result<Sameness> same_bytes(NodeClient& client, const Node& node, const ClusterPath& path,
                            const PutBody& body);
// The same for a file that lies in pieces.
Result<Sameness> same_bytes(NodeClient& client, const Node& node, const ClusterPath& path,
                            std::span<const std::span<const char>> pieces);

}  // namespace skein
