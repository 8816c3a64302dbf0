#include "core/http_date.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>

namespace skein {
namespace {

TEST_CASE("http date: dates are read whatever the locale, and nothing else is taken for one") {
  CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777);
  CHECK(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT") == 0);
  CHECK(parse_http_date("Thu, 29 Feb 2024 12:00:00 GMT") == 1709208000);
  for (const char* bad : {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                          "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
                          "Sun, 06 Nov 1994 08:49:37 CET", "Sun, -6 Nov 1994 08:49:37 GMT"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_http_date(bad).has_value());
  }
}

TEST_CASE("http date: what is written is read back as the same second") {
  CHECK(http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
  CHECK(http_date(-1) == "Wed, 31 Dec 1969 23:59:59 GMT");
  CHECK(http_date(std::numeric_limits<std::int64_t>::max()) == http_date(0));
  const unsigned seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> any(-62'167'219'200, 253'402'300'799);
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t second = any(random);
    CAPTURE(second);
    REQUIRE(parse_http_date(http_date(second)) == second);
  }
}

}  // namespace
}  // namespace skein
