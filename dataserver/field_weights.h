// Weighted lists in header fields: "gzip, zstd;q=0.5" (RFC 9110, 12.4.2).
#pragma once

#include <optional>
#include <string_view>

namespace skein {

// The weight of `name` in thousandths, compared without case; 1000 if none is written. nullopt: not
// in the list ('*' is a name like others here). A malformed weight counts as 0.
std::optional<int> weight_of(std::string_view list, std::string_view name);

}  // namespace skein
