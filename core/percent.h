// Percent coding of URL paths and query values (RFC 3986). Bytes above 0x7f pass through decoding
// unchanged, because PYME's raw writers send unescaped UTF-8 (docs/wire.md, "HTTP rules").
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"

namespace skein {

// Encodes everything but unreserved characters and '/'.
std::string percent_encode_path(std::string_view text);

// Decodes %XX; '+' stays a plus. Errors: invalid_argument for a malformed escape.
Result<std::string> percent_decode(std::string_view text);

// The same for a query value, where '+' is a space.
Result<std::string> percent_decode_query(std::string_view text);

}  // namespace skein
