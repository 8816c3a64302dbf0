#include "streamer/buffer_pool.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <new>

namespace skein {
namespace {

Deadline at_once() { return Deadline::after(std::chrono::milliseconds(0)); }

TEST_CASE("buffer pool: what cannot be had leaves it as it was") {
  BufferPool pool(1000);
  for (const std::size_t size : {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4}) {
    CHECK_THROWS_AS((void)pool.take(size, at_once()), std::bad_alloc);
    CHECK(pool.out_bytes() == 0);
  }
  const auto lent = pool.take(600, at_once());
  REQUIRE(lent);
  CHECK_FALSE(pool.take(SIZE_MAX - 100, at_once()));  // no sum that wraps
  CHECK_FALSE(pool.take(401, at_once()));
  CHECK_FALSE(pool.take_spare(1));
  CHECK(pool.take(400, at_once()));
}

}  // namespace
}  // namespace skein
