#include "aggregate/json_depth.h"

namespace skein {

bool nests_too_deeply(std::string_view text) {
  constexpr int kMost = 16;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
      continue;
    }
    quoted = c == '"';
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMost) return true;
  }
  return false;
}

}  // namespace skein
