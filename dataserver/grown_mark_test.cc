#include "dataserver/grown_mark.h"

#include <doctest/doctest.h>
#include <sys/xattr.h>

#include "dataserver/file_mark.h"
#include "dataserver/scratch_store.h"

using namespace skein;

TEST_CASE("grown mark: a file that grew is known by it, a published one is not, whatever it brings") {
  ScratchStore scratch;
  auto grown = scratch.store->scratch();
  auto put = scratch.store->scratch();
  REQUIRE(grown);
  REQUIRE(put);
  CHECK_FALSE(has_grown(grown->fd()));
  mark_as_grown(grown->fd());
  if (::fgetxattr(grown->fd(), "user.skein.grew", nullptr, 0) < 0) {
    MESSAGE("SKIP: no user attributes on this filesystem");
    return;
  }
  CHECK(has_grown(grown->fd()));
  // What a client of the lane may do to the file it makes; the server marks it when it publishes it.
  mark_as_grown(put->fd());
  REQUIRE(write_mark(put->fd(), {0, 1, std::nullopt, true}));
  CHECK_FALSE(has_grown(put->fd()));
}
