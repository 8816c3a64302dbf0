#include "fuse/awake_processors.h"

#include <doctest/doctest.h>

#include <fstream>

#include "core/clock.h"
#include "fuse/scratch_mount.h"

using namespace skein;
using namespace std::chrono_literals;

namespace {

struct Scene {
  Scene() { std::ofstream file(device); }
  ScratchFolder folder;
  const std::filesystem::path device = folder.path() / "latency";  // a plain file stands for it
};

bool comes_to(AwakeProcessors& awake, bool held, bool busy) {
  const Deadline deadline = Deadline::after(30s);
  while (awake.held() != held && !deadline.passed()) {
    if (busy) awake.asked();
    std::this_thread::yield();
  }
  return awake.held() == held;
}

}  // namespace

TEST_CASE("awake processors: held while requests come quickly, let go when they cease") {
  Scene scene;
  AwakeProcessors awake(scene.device);
  CHECK_FALSE(awake.held());
  CHECK(comes_to(awake, true, true));
  CHECK(std::filesystem::file_size(scene.device) == 4);
  CHECK(comes_to(awake, false, false));
  CHECK(comes_to(awake, true, true));
}

TEST_CASE("awake processors: without the right to it nothing happens, and it is not tried again") {
  Scene scene;
  std::filesystem::remove(scene.device);
  AwakeProcessors awake(scene.device);
  for (std::uint64_t i = 0; i < 100 * AwakeProcessors::kBusyRequests; ++i) awake.asked();
  CHECK_FALSE(awake.held());
}
