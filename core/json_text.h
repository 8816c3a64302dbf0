// One JSON string, for writers that need no document tree, and the UTF-8 rule it rests on.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace skein {

// Appends `text` escaped, without the quotes. A byte that is no UTF-8 becomes the escape \udc80 to
// \udcff, as in listings (core/listing.h).
void append_json_text(std::string& out, std::string_view text);

// Length in bytes of the well-formed UTF-8 sequence at the start of `text`; 0 if there is none
// (RFC 3629). Precondition: `text` is not empty.
std::size_t utf8_length(std::string_view text);

}  // namespace skein
