// The target of a request line, taken apart (docs/wire.md, "HTTP rules"): cut at the first '?' or
// '#', percent-decoded, collapsed. Bytes above 0x7f pass as they are.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "core/path.h"

namespace skein {

struct Target {
  ClusterPath path;
  bool directory = false;  // written with a trailing slash
  bool climbed = false;    // a ".." reached above the root and was dropped
  std::string_view query;  // after '?', not decoded; borrows from the text given to parse_target

  // The value of `name` in the query, decoded; "" if it is missing or malformed.
  std::string query_value(std::string_view name) const;
};

// Takes origin form ("/a/b") and absolute form ("http://host/a/b"). Errors: invalid_argument
// (neither, NUL, malformed escape, escaped slash), filename_too_long.
Result<Target> parse_target(std::string_view text);

}  // namespace skein
