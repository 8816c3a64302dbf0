#include "fuse/file_facts.h"

#include <doctest/doctest.h>

using namespace skein;

TEST_CASE("file facts: a series counts its frames, and expects those up to the highest") {
  FrameCount count;
  CHECK_FALSE(count.is_series());
  for (const char* name : {"frame00000.pzf", "frame00001.pzf", "frame00003.szf", "metadata.json"}) {
    count.add(name);
  }
  CHECK(count.is_series());
  CHECK(count.text() == "frames=3 expected=4 complete=no");
  for (const char* other : {"frame1.pzf", "frame00009.tif", "frame.pzf", "frame0000x.pzf", "x.pzf",
                            "frame0000000000009.pzf", "final_metadata.json"}) {
    count.add(other);
  }
  CHECK(count.text() == "frames=3 expected=4 complete=no");
  count.add("frame100000.pzf");
  count.add("events.json");
  CHECK(count.text() == "frames=4 expected=100001 complete=yes");
}
