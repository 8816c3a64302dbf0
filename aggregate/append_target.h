// Which file an append makes grow, as the path of the request tells (docs/wire.md, "Appends").
//
//   _aggregate/<path>           format by extension; the file itself lies below _aggregate/
//   __aggregate_txt/<path>      text, whatever the extension; the file lies at <path>, as PYME's
//   __aggregate_h5r/<path>      rows of a table, file at <path>
//   __aggregate_h5/<path>       members of one .h5 file, file at <path>
#pragma once

#include <optional>
#include <string>

#include "core/error.h"
#include "core/path.h"

namespace skein {

// The folder below which files grow.
inline constexpr std::string_view kGrowingFolder = "_aggregate";

enum class GrowthKind {
  kText,   // bytes, as they come: .txt .csv .log .json .ndjson .jsonl
  kTable,  // rows of a table in an HDF5 file: .hdf .h5r
  kSeries  // members of a container: .h5
};

struct AppendTarget {
  GrowthKind kind = GrowthKind::kText;
  ClusterPath file;  // where it lies in the tree
  std::string part;  // what follows the file: the table or member, "a/b"; "" for text
};

// What the name's extension says, without case; nullopt: nothing that grows.
std::optional<GrowthKind> growth_kind(std::string name);

// True for a path whose first component asks for an append.
bool names_append(const ClusterPath& path);

// Precondition: names_append(path). Errors: invalid_argument (no file named, or something follows
// a text file, or a private place), not_supported (nothing is known that grows under this name).
Result<AppendTarget> parse_append_target(const ClusterPath& path);

}  // namespace skein
