// Shell patterns over the store (docs/wire.md, "__glob"): '*', '?' and '[..]' within one name, '*'
// skips names with a leading dot, a backslash is an ordinary character. Confined to the root.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "dataserver/directory_scan.h"

namespace skein {

inline constexpr std::size_t kMaxGlobMatches = 1'000'000;

// Paths relative to the root without leading slash, directories without trailing one, sorted. Torn
// files are left out, as in listings. A pattern with ".." matches nothing. Errors: invalid_argument
// (NUL, too long); file_too_large (more than kMaxGlobMatches), timed_out.
Result<std::vector<std::string>> glob(int root, const std::string& pattern, Deadline deadline,
                                      const IsTorn& is_torn);

// One name against one component of a pattern, in time that grows with the product of their lengths
// at most; fnmatch(3) takes exponential time for many stars.
bool matches_name(std::string_view pattern, std::string_view name);

}  // namespace skein
