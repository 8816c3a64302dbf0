#include "dataserver/lane_access.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/fd.h"

using skein::LaneAccess;

TEST_CASE("lane access: the owner's alone, a group's when one is named, a mode when one is given") {
  CHECK(LaneAccess::parse("", "")->mode == 0600);
  CHECK_FALSE(LaneAccess::parse("", "")->group);
  CHECK(LaneAccess::parse("", "0")->mode == 0660);
  CHECK(LaneAccess::parse("", "0")->group == 0u);
  CHECK(LaneAccess::parse("", "root")->group == 0u);
  CHECK(LaneAccess::parse("0666", "root")->mode == 0666);
  CHECK(LaneAccess::parse("660", "")->mode == 0660);
}

TEST_CASE("lane access: modes nobody could connect by, and unknown groups, are refused by name") {
  for (const char* mode : {"0640", "0606", "0777", "06 60", "rw", "-1", "0668", "4294967295600"}) {
    const auto access = LaneAccess::parse(mode, "");
    REQUIRE_FALSE(access);
    CHECK(access.error().what.find(mode) != std::string::npos);
  }
  const auto access = LaneAccess::parse("", "no-such-group-here");
  REQUIRE_FALSE(access);
  CHECK(access.error().what == "there is no group no-such-group-here");
}

TEST_CASE("lane access: the server's own user is let in by every mode") {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
  const skein::Fd one(fds[0]);
  const skein::Fd other(fds[1]);
  for (const char* mode : {"0600", "0660", "0666"}) {
    CHECK(LaneAccess::parse(mode, "")->admits(one.get()));
  }
}
