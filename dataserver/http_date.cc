#include "dataserver/http_date.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace skein {
namespace {

constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

}  // namespace

// By hand, because strftime(3) and strptime(3) follow the locale.
std::string http_date(std::int64_t seconds_since_1970) {
  const time_t seconds = seconds_since_1970;
  tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return http_date(0);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                kDays[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                kMonths[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                parts.tm_hour, parts.tm_min, parts.tm_sec);
  return text.data();
}

std::optional<std::int64_t> parse_http_date(std::string_view text) {
  const std::string copy(text);
  std::array<char, 4> month{};
  tm parts{};
  int length = 0;
  const int fields = std::sscanf(copy.c_str(), "%*3s, %2d %3s %4d %2d:%2d:%2d GMT%n", &parts.tm_mday,
                                 month.data(), &parts.tm_year, &parts.tm_hour, &parts.tm_min,
                                 &parts.tm_sec, &length);
  if (fields != 6 || static_cast<std::size_t>(length) != copy.size()) return std::nullopt;
  parts.tm_year -= 1900;
  for (std::size_t i = 0; i < kMonths.size(); ++i) {
    if (std::string_view(month.data()) != kMonths[i]) continue;
    parts.tm_mon = static_cast<int>(i);
    return ::timegm(&parts);
  }
  return std::nullopt;
}

std::string_view DateLine::text() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != second_) {
    second_ = now.tv_sec;
    text_ = http_date(second_);
  }
  return text_;
}

}  // namespace skein
