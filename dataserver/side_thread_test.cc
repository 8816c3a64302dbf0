#include "dataserver/side_thread.h"

#include <doctest/doctest.h>

#include <vector>

namespace skein {
namespace {

TEST_CASE("side thread: work is done in order, and seen by who waits for it") {
  std::vector<int> done;
  {
    SideThread side;
    side.wait();  // for nothing
    for (int i = 0; i < 1000; ++i) {
      side.start([&done, i] { done.push_back(i); });
      side.wait();
      REQUIRE(done.size() == static_cast<std::size_t>(i) + 1);
    }
  }
  CHECK(done.back() == 999);
}

TEST_CASE("side thread: what was begun is done before its end") {
  bool done = false;
  {
    SideThread side;
    side.start([&] { done = true; });
  }
  CHECK(done);
}

TEST_CASE("side threads: no more are lent than there are, and one that came back again") {
  SideThreads none(0);
  CHECK(none.take() == nullptr);
  SideThreads two(2);
  SideThread* const one = two.take();
  SideThread* const other = two.take();
  REQUIRE(one != nullptr);
  REQUIRE(other != nullptr);
  CHECK(one != other);
  CHECK(two.take() == nullptr);
  two.give_back(other);
  CHECK(two.take() == other);
}

}  // namespace
}  // namespace skein
