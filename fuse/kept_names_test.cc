#include "fuse/kept_names.h"

#include <doctest/doctest.h>

#include "core/clock.h"

using namespace skein;
using namespace std::chrono_literals;

TEST_CASE("kept names: kept while the listing is the one that was given, and its entries believed") {
  ManualClock time;
  KeptNames names(time.clock());
  CHECK_FALSE(names.keep(7, 1, true, 60s));
  CHECK(names.keep(7, 1, true, 60s));
  CHECK_FALSE(names.keep(8, 1, true, 60s));
  CHECK_FALSE(names.keep(7, 2, true, 60s));
  CHECK(names.keep(7, 2, true, 60s));
  time.advance(60s);
  CHECK_FALSE(names.keep(7, 2, true, 60s));
  CHECK(names.keep(7, 2, true, 60s));
}

TEST_CASE("kept names: a first listing counts from when it was opened, with the version it got") {
  ManualClock time;
  KeptNames names(time.clock());
  CHECK_FALSE(names.keep(7, 0, true, 60s));
  const TimePoint opened = time.clock()();
  time.advance(20s);
  names.gave(7, 3, opened);
  CHECK(names.keep(7, 3, true, 60s));
  CHECK_FALSE(names.keep(7, 4, true, 60s));
  names.gave(7, 5, opened);
  time.advance(40s);
  CHECK_FALSE(names.keep(7, 5, true, 60s));
}

TEST_CASE("kept names: an unsealed file or an unknown version forgets what was given") {
  ManualClock time;
  KeptNames names(time.clock());
  CHECK_FALSE(names.keep(7, 1, true, 60s));
  CHECK_FALSE(names.keep(7, 1, false, 60s));
  CHECK_FALSE(names.keep(7, 1, true, 60s));
  CHECK(names.keep(7, 1, true, 60s));
  CHECK_FALSE(names.keep(7, 0, true, 60s));
  CHECK_FALSE(names.keep(7, 1, true, 60s));
}
