#include "dataserver/side_thread.h"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <semaphore>
#include <thread>
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

TEST_CASE("side thread: what it is doing is waited for, what it has not begun is done at once") {
  SideThread side;
  std::binary_semaphore begun(0);
  std::atomic<bool> done{false};
  side.start([&] {
    begun.release();
    std::this_thread::yield();
    done = true;
  });
  begun.acquire();
  side.wait();
  CHECK(done);
  // Either of the two does it, and once.
  std::map<std::thread::id, int> by;
  for (int i = 0; i < 1000; ++i) {
    side.start([&by] { ++by[std::this_thread::get_id()]; });
    side.wait();
  }
  int times = 0;
  for (const auto& [thread, count] : by) times += count;
  CHECK(times == 1000);
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
