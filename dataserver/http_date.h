// Dates in the form of HTTP header fields (RFC 9110, section 5.6.7).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skein {

// "Sat, 21 Nov 2026 02:31:00 GMT"
std::string http_date(std::int64_t seconds_since_1970);

// nullopt for anything but that one form, which all senders must use.
std::optional<std::int64_t> parse_http_date(std::string_view text);

// The text of now, made anew once a second. One thread at a time.
class DateLine {
 public:
  std::string_view text();

 private:
  std::int64_t second_ = -1;
  std::string text_;
};

}  // namespace skein
