// A bound for what walks a JSON value by recursion. Pure.
#pragma once

#include <string_view>

namespace skein {

// Does the text open more than 16 brackets at a time? No rows and no metadata need as many.
bool nests_too_deeply(std::string_view json);

}  // namespace skein
