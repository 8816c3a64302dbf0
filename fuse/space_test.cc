#include "fuse/space.h"

#include <doctest/doctest.h>

using namespace skein;

TEST_CASE("space: two nodes on one disk of a host count once, two disks twice") {
  const DiskSpace big{1000ull << 30, 500ull << 30};
  const DiskSpace moments_later{1000ull << 30, 499ull << 30};
  const DiskSpace other{2000ull << 30, 100ull << 30};
  CHECK(sum_disks({{"hostA", big}, {"hostA", moments_later}}) == big);
  CHECK(sum_disks({{"hostA", big}, {"hostA", other}}) ==
        DiskSpace{3000ull << 30, 600ull << 30});
  CHECK(sum_disks({{"hostA", big}, {"hostB", big}}).total_bytes == 2000ull << 30);
  CHECK(sum_disks({{"", big}, {"", big}}).total_bytes == 2000ull << 30);
  CHECK(sum_disks({}) == DiskSpace{});
}

TEST_CASE("space: the status of a node is read, nonsense is refused") {
  const auto disk = parse_disk(R"({"Disk":{"total":100,"used":40,"free":60},"Port":1})");
  REQUIRE(disk.ok());
  CHECK(*disk == DiskSpace{100, 60});
  for (const char* bad : {"", "[]", "{", "{}", R"({"Disk":7})", R"({"Disk":{"total":1}})",
                          R"({"Disk":{"total":"1","free":2}})",
                          R"({"Disk":{"total":-1,"free":2}})"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_disk(bad).ok());
  }
}
