#include "tools/progress_bar.h"

#include <doctest/doctest.h>

namespace skein {
namespace {

using std::chrono::milliseconds;

TEST_CASE("progress: a line says name, share, bytes, rate and time left") {
  const Progress progress{"frame.tif", 256 << 20, 1024 << 20, milliseconds(2000)};
  CHECK(progress_line(progress, 79) == "frame.tif  25%  256M of 1.0G  128M/s  0:06 left");
}

TEST_CASE("progress: with the total unknown there is no share and no time left") {
  const Progress progress{"-", 10 << 20, 0, milliseconds(1000)};
  CHECK(progress_line(progress, 79) == "-  10M  10M/s");
}

TEST_CASE("progress: nothing done yet, a file that grew, and no time passed are all fine") {
  CHECK(progress_line({"a", 0, 100, milliseconds(1000)}, 79) == "a  0%  0 of 100  0/s");
  CHECK(progress_line({"a", 200, 100, milliseconds(1000)}, 79) == "a  100%  200 of 100  200/s");
  CHECK(progress_line({"a", 1, 2, milliseconds(0)}, 79) == "a  50%  1 of 2  1000/s  0:00 left");
}

TEST_CASE("progress: hours are shown as hours") {
  const Progress progress{"a", 1 << 20, std::uint64_t{7201} << 20, milliseconds(1000)};
  CHECK(progress_line(progress, 79) == "a  0%  1.0M of 7.1G  1.0M/s  2:00:00 left");
}

TEST_CASE("progress: a long name keeps its end, and the line fits the terminal") {
  const Progress progress{std::string(200, 'a') + "/frame00042.pzf", 1, 2, milliseconds(1000)};
  for (const std::size_t columns : {20, 40, 60, 79}) {
    CAPTURE(columns);
    CHECK(progress_line(progress, columns).size() <= columns);
  }
  CHECK(progress_line(progress, 60).find("/frame00042.pzf  50%") != std::string::npos);
}

TEST_CASE("progress: a name can't send the terminal a command") {
  const Progress progress{"\x1b[2J\n", 1, 2, milliseconds(1000)};
  CHECK(progress_line(progress, 79).starts_with("\\x1b[2J\\n  50%"));
}

}  // namespace
}  // namespace skein
