// Dates in the form of HTTP header fields (RFC 9110, section 5.6.7). Pure, and independent of the
// process's locale, which strftime(3) and strptime(3) are not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skein {

// "Sat, 21 Nov 2026 02:31:00 GMT". Years outside 0 to 9999 have no such form: the date of 1970.
std::string http_date(std::int64_t seconds_since_1970);

// nullopt for anything but that one form, which all senders must use.
std::optional<std::int64_t> parse_http_date(std::string_view text);

}  // namespace skein
