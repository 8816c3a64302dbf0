#include "core/http_date.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

namespace skein {
namespace {

constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
// From 0000-01-01 up to 10000-01-01.
constexpr std::int64_t kFirstSecond = -62'167'219'200;
constexpr std::int64_t kEndSecond = 253'402'300'800;

std::optional<unsigned> month_number(std::string_view name) {
  for (unsigned i = 0; i < kMonths.size(); ++i) {
    if (name == kMonths[i]) return i + 1;
  }
  return std::nullopt;
}

std::optional<unsigned> digits(std::string_view text) {
  unsigned value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string http_date(std::int64_t seconds_since_1970) {
  using std::chrono::sys_days, std::chrono::sys_seconds;
  const bool in_form = seconds_since_1970 >= kFirstSecond && seconds_since_1970 < kEndSecond;
  const sys_seconds when{std::chrono::seconds(in_form ? seconds_since_1970 : 0)};
  const sys_days day = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(when - day);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text.data();
}

std::optional<std::int64_t> parse_http_date(std::string_view text) {
  // Sun, 06 Nov 1994 08:49:37 GMT
  const bool in_form = text.size() == 29 && text.substr(3, 2) == ", " && text[7] == ' ' &&
                       text[11] == ' ' && text[16] == ' ' && text[19] == ':' && text[22] == ':' &&
                       text.substr(25) == " GMT";
  if (!in_form) return std::nullopt;
  const auto day = digits(text.substr(5, 2)), year = digits(text.substr(12, 4));
  const auto hour = digits(text.substr(17, 2)), minute = digits(text.substr(20, 2));
  const auto second = digits(text.substr(23, 2)), month = month_number(text.substr(8, 3));
  if (!day || !month || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(*month), std::chrono::day(*day)};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24 + *hour) * 60 + *minute) * 60 + *second;
}

}  // namespace skein
