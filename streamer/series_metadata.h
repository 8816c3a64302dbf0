// A series' metadata and events, and their JSON as PYME reads it (docs/wire.md, "Series").
// Pure functions, safe concurrently.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/error.h"

namespace skein {

// Any JSON value, for what has no type below: a list such as Camera.ROI.
struct JsonText {
  std::string text;
  bool operator==(const JsonText&) const = default;
};
using MetadataValue = std::variant<bool, std::int64_t, double, std::string, JsonText>;

// Flat: dots in the keys, "Camera.IntegrationTime".
using SeriesMetadata = std::map<std::string, MetadataValue>;

struct SeriesEvent {
  std::string name;
  std::string description;
  double unix_time_s = 0;
};

// Sorted keys, 2 spaces of indent, ASCII. Errors: invalid_argument, naming the key: no UTF-8, not a
// finite number, no JSON.
Result<std::string> metadata_json(const SeriesMetadata& metadata);
Result<std::string> events_json(const std::vector<SeriesEvent>& events);

// Errors: bad_message (no JSON object, or an object within it: keys are flat).
Result<SeriesMetadata> parse_metadata(std::string_view json);

// Closes the size that is open (-1) while a series is recorded: as many as `frames` begin.
void close_sizes(SeriesMetadata& metadata, std::uint64_t frames);

// The whole number under `key`; nullopt if there is none.
std::optional<std::int64_t> whole_number(const SeriesMetadata& metadata, const std::string& key);

}  // namespace skein
