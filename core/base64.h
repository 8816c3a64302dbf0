// Base64 with padding (RFC 4648, section 4), as header fields carry bytes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace skein {

std::string base64(std::span<const unsigned char> bytes);

// Nothing if `text` is no base64; padding may lack.
std::optional<std::vector<unsigned char>> parse_base64(std::string_view text);

}  // namespace skein
