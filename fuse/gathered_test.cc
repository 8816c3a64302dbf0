#include "fuse/gathered.h"

#include <doctest/doctest.h>

#include <atomic>
#include <semaphore>

using skein::Gathered;

TEST_CASE("gathered: everything arrives once, in order, also what was left at the end") {
  std::vector<int> got;
  {
    Gathered<int> gathered([&](const std::vector<int>& batch) {
      CHECK_FALSE(batch.empty());
      got.insert(got.end(), batch.begin(), batch.end());
    });
    for (int i = 0; i < 2000; ++i) gathered.add(i);
  }
  REQUIRE(got.size() == 2000);
  for (int i = 0; i < 2000; ++i) CHECK(got[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("gathered: what comes while a batch is taken is the next batch") {
  std::binary_semaphore taking(0), go_on(0);
  std::vector<std::size_t> sizes;
  {
    Gathered<int> gathered([&](const std::vector<int>& batch) {
      sizes.push_back(batch.size());
      if (sizes.size() > 1) return;
      taking.release();
      go_on.acquire();
    });
    const Gathered<int>::Hurry hurry(gathered);
    gathered.add(1);
    taking.acquire();
    for (int i = 0; i < 10; ++i) gathered.add(i);
    go_on.release();
  }
  CHECK(sizes == std::vector<std::size_t>{1, 10});
}

TEST_CASE("gathered: who adds waits when nothing is taken, and goes on when it is") {
  std::binary_semaphore go_on(0);
  std::atomic<std::size_t> taken = 0;
  std::atomic<std::size_t> added = 0;
  Gathered<int> gathered([&](const std::vector<int>& batch) {
    if (taken == 0) go_on.acquire();
    taken += batch.size();
  });
  constexpr std::size_t kMany = 3 * Gathered<int>::kMost;
  std::jthread adder([&] {
    for (; added < kMany; ++added) gathered.add(0);
  });
  while (added < Gathered<int>::kMost) std::this_thread::yield();
  CHECK(added <= 2 * Gathered<int>::kMost);  // one batch is being taken, one waits
  go_on.release();
  adder.join();
  gathered.finish();
  CHECK(taken == kMany);
}
