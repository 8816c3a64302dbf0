// Which node a file goes to. A placement function must be quick (it runs inside put()) and safe to
// call from several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "core/node.h"
#include "core/path.h"

namespace skein {

struct FileToPlace {
  std::uint64_t index;  // of this streamer's files, in the order they were accepted, from 0
  const ClusterPath& path;
  std::string_view key;  // as given to put(); "" = none
};

// A number below nodes.size(). `nodes`: those alive, sorted by Node::key(), at least one.
using PlaceFunction = std::function<std::size_t(const FileToPlace& file, const NodeList& nodes)>;

// The placements PYME's writers use (docs/wire.md, "Series"). A file with a key goes by the key.
PlaceFunction place_round_robin();
PlaceFunction place_in_chunks(std::uint64_t files_per_chunk);

// Rendezvous hashing: files of one key go to one node, in every program; a node that comes or goes
// moves only the keys that are its share.
std::size_t place_by_key(std::string_view key, const NodeList& nodes);

}  // namespace skein
