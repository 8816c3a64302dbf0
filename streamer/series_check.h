// What a cluster has of a series, and what is missing of it (docs/wire.md, "Series").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/download.h"
#include "client/node_client.h"
#include "core/error.h"
#include "core/listing.h"
#include "core/node.h"
#include "core/path.h"
#include "streamer/index_ranges.h"
#include "streamer/series_metadata.h"

namespace skein {

struct SeriesState {
  bool has_metadata = false;
  bool has_final_metadata = false;
  bool has_marker = false;  // events.json
  IndexRanges frames;       // that are there
  // What its metadata say; nullopt where a dimension is open.
  std::optional<std::uint64_t> promised;
  std::uint64_t expected = 0;  // frames: those promised, or up to the highest one
  std::uint64_t frame_bytes = 0;
  std::vector<std::string> damaged;  // "frame00017.pzf: cut short"
  std::vector<Node> silent;          // what they hold is not counted
  SeriesMetadata metadata;           // of final_metadata.json, else of metadata.json

  std::vector<IndexRanges::Range> missing() const { return frames.missing_below(expected); }
  bool is_complete() const {
    return has_metadata && has_marker && damaged.empty() && silent.empty() && missing().empty();
  }
};

// Pure. `metadata`: of final_metadata.json, else of metadata.json; may be empty.
SeriesState series_state(const Listing& listing, SeriesMetadata metadata);

enum class CheckDepth {
  kNames,   // lists the directory and reads the metadata
  kPixels,  // reads and decodes every frame too
};
// Errors: as list_union(); invalid_argument (no series: neither metadata nor frames); bad_message
// (its metadata are no JSON).
Result<SeriesState> check_series(NodeClient& client, Downloader& downloader, const NodeList& nodes,
                                 const ClusterPath& path, CheckDepth depth);

}  // namespace skein
