#include "core/host_lookup.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

using namespace skein;
using namespace std::chrono_literals;

TEST_CASE("host look-up: numeric addresses need no time, names are found and found again") {
  const auto numeric = look_up({"127.0.0.1", 80}, Deadline::after(0ms));
  REQUIRE(numeric);
  CHECK((*numeric)->ai_family == AF_INET);
  CHECK(look_up({"::1", 80}, Deadline::after(0ms)));
  CHECK(look_up({"localhost", 80}, Deadline::after(10s)));
  CHECK(look_up({"localhost", 80}, Deadline::after(0ms)));
}

TEST_CASE("host look-up: a name that nobody can have is an error that names it") {
  const auto none = look_up({"no such host", 80}, Deadline::after(10s));
  REQUIRE_FALSE(none);
  CHECK(none.error().code == std::errc::host_unreachable);
  CHECK(none.error().what.find("no such host") != std::string::npos);
}
