// Shell patterns over the store (docs/wire.md, "__glob"): '*', '?' and '[..]' within one name, '*'
// skips names with a leading dot, a backslash is an ordinary character. Confined to the root.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"

namespace skein {

inline constexpr std::size_t kMaxGlobMatches = 1'000'000;

// Paths relative to the root without leading slash, directories without trailing one, sorted.
// A pattern with ".." matches nothing. Errors: invalid_argument (NUL, too long);
// file_too_large (more than kMaxGlobMatches).
Result<std::vector<std::string>> glob(int root, const std::string& pattern);

}  // namespace skein
