#include "fuse/ready_stages.h"

#include <doctest/doctest.h>

#include "client/memory_lane.h"
#include "client/scripted_server.h"
#include "fuse/scratch_mount.h"

using namespace skein;
using namespace std::chrono_literals;

namespace {

struct Scene {
  ReadyStages::Stage create(const std::string& path) {
    auto stage = stages.create(lane.node(), path_of(path));
    REQUIRE_MESSAGE(stage.ok(), (stage ? "" : stage.error().what));
    return std::move(*stage);
  }
  bool await_ready(std::size_t count) {
    const Deadline deadline = Deadline::after(30s);
    while (stages.ready() != count && !deadline.passed()) std::this_thread::yield();
    return stages.ready() == count;
  }
  // Two files in a row, after which stages are made.
  void begin_series() {
    create("d/1");
    create("d/2");
    REQUIRE(await_ready(ReadyStages::kMostReady));
  }

  ScratchFolder folder;
  LaneNode lane{folder.path() / "lane"};
  LaneClient client{20s};
  ManualClock time;
  ReadyStages stages{client, time.clock()};
};

}  // namespace

TEST_CASE("ready stages: of the files of a series, the third and later need no answer") {
  Scene scene;
  scene.begin_series();
  scene.lane.silent = LaneVerb::kCreate;
  const auto third = scene.create("d/3");
  scene.lane.silent = LaneVerb{};
  REQUIRE(::write(third->fd(), "three", 5) == 5);
  CHECK(third->check());
  CHECK(third->seal());
  CHECK(scene.lane.file("d/3") == "three");
}

TEST_CASE("ready stages: none for single files, and none of another directory") {
  Scene scene;
  scene.create("a/1");
  scene.create("b/1");
  scene.time.advance(ReadyStages::kTrust);
  scene.create("a/2");
  CHECK(scene.lane.creates == 3);
  CHECK(scene.stages.ready() == 0);
  scene.begin_series();
  const int before = scene.lane.creates;
  scene.create("b/2");
  CHECK(scene.lane.creates == before + 1);
}

TEST_CASE("ready stages: what nobody uses is dropped") {
  Scene scene;
  scene.begin_series();
  scene.time.advance(ReadyStages::kTrust);
  CHECK(scene.await_ready(0));
  const int before = scene.lane.creates;
  scene.create("d/3");
  CHECK(scene.lane.creates == before + 1);
}

TEST_CASE("ready stages: a node that was restarted is asked anew") {
  Scene scene;
  scene.begin_series();
  scene.lane.hang_up();
  const auto stage = scene.create("d/3");
  CHECK(stage->is_connected());
  CHECK(stage->check());
}

TEST_CASE("ready stages: a full disk is told as soon as the stages made before are used up") {
  Scene scene;
  scene.begin_series();
  scene.lane.full = true;
  std::size_t made = 0;
  auto stage = scene.stages.create(scene.lane.node(), path_of("d/3"));
  for (; stage && made <= ReadyStages::kMostReady; ++made) {
    stage = scene.stages.create(scene.lane.node(), path_of("d/3"));
  }
  REQUIRE_FALSE(stage);
  CHECK(stage.error().code == std::errc::no_space_on_device);
  CHECK(made <= ReadyStages::kMostReady);
}
