// What is told of each file: its ticket's outcome, and the failures at the end.
#include "streamer/file_streamer.h"

#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include "core/scratch_folder.h"
#include "streamer/streamer_scene.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

TEST_CASE("streamer: a ticket tells one file's outcome, flush waits for those accepted before it") {
  Rig rig(1);
  rig.nodes[0]->add("taken", "somebody else's");
  const std::string bytes = sample_bytes(1000);
  const auto good = rig.streamer->put(path_of("good"), span_of(bytes), soon());
  const auto taken = rig.streamer->put(path_of("taken"), span_of(bytes), soon());
  REQUIRE(good);
  REQUIRE(taken);
  CHECK(rig.streamer->wait(*good, soon()));
  CHECK(rig.streamer->wait(*taken, soon()).error().code == std::errc::file_exists);
  CHECK(rig.streamer->wait(2, soon()).error().code == std::errc::invalid_argument);
  CHECK(rig.streamer->flush(soon()));
  Held held(*rig.nodes[0]);
  const auto late = rig.streamer->put(path_of("late"), span_of(bytes), soon());
  CHECK(rig.streamer->wait(*late, Deadline::after(20ms)).error().code == std::errc::timed_out);
  CHECK(rig.streamer->flush(Deadline::after(20ms)).error().code == std::errc::timed_out);
  CHECK(rig.streamer->wait(*good, soon()));
  held.release();
  CHECK(rig.streamer->flush(soon()));
  CHECK(rig.nodes[0]->file("late") == bytes);
}

TEST_CASE("streamer: what has no answer when it ends is kept, and named") {
  const ScratchFolder scratch;
  auto options = quick_options();
  options.node.stall = 10s;
  options.recovery_folder = scratch.path();
  Rig rig(2, std::move(options));
  Held held(*rig.nodes[0]);
  for (int n = 0; n < 10; ++n) rig.put(n, 100'000);
  CHECK(rig.streamer->finish(Deadline::after(50ms)).error().code == std::errc::timed_out);
  const auto failures = rig.streamer->abandon();
  std::set<std::string> unanswered;
  for (const auto& failure : failures) {
    CHECK(failure.error.code == std::errc::operation_canceled);
    std::ifstream in(failure.kept_as, std::ios::binary);
    std::stringstream kept;
    kept << in.rdbuf();
    CHECK(kept.str() == sample_bytes(100'000, static_cast<unsigned>(failure.ticket + 1)));
    unanswered.insert(failure.path.text());
  }
  // Every file is on the node that answers or kept: the other one has answered nothing.
  for (int n = 0; n < 10; ++n) CHECK(unanswered.contains(name_of(n)) != rig.nodes[1]->has(name_of(n)));
  CHECK(unanswered.size() >= 5);
  CHECK(rig.streamer->put(path_of("x"), {}, soon()).error().code == std::errc::operation_canceled);
  CHECK(rig.streamer->abandon().size() == failures.size());
  held.release();
}

TEST_CASE("streamer: a file that no node answers in time has failed, which is no wait in vain") {
  auto options = quick_options();
  options.node.stall = 1800ms;
  options.patience = 1500ms;
  Rig rig(1, std::move(options));
  Held held(*rig.nodes[0]);
  const std::string bytes = sample_bytes(100);
  std::vector<FileStreamer::Ticket> tickets;
  for (int n = 0; n < 10; ++n) {
    tickets.push_back(*rig.streamer->put(path_of(name_of(n)), span_of(bytes), soon()));
  }
  for (const auto ticket : tickets) {
    CHECK(rig.streamer->wait(ticket, soon()).error().code == std::errc::host_unreachable);
  }
  held.release();
}

TEST_CASE("streamer: with no recovery folder every file that failed is still named, with its reason") {
  Rig rig(2);
  for (auto& node : rig.nodes) {
    node->interrupt([](ScriptedServer&, HttpStream& stream, const RequestHead& head) {
      receive_body(stream, head);
      return std::optional(reply(stream, 507));
    });
  }
  for (int n = 0; n < 20; ++n) rig.put(n);
  const auto failures = rig.streamer->finish(soon());
  REQUIRE(failures);
  std::set<std::string> named;
  for (const auto& failure : *failures) {
    CHECK(failure.error.code == std::errc::no_space_on_device);
    CHECK(failure.error.what.find("no space left") != std::string::npos);
    CHECK(failure.kept_as.empty());
    CHECK(rig.streamer->wait(failure.ticket, soon()).error().code == std::errc::no_space_on_device);
    named.insert(failure.path.text());
  }
  CHECK(named.size() == 20);
}

TEST_CASE("streamer: a name that is taken is a failure of that file alone") {
  Rig rig(1);
  rig.nodes[0]->add(name_of(1), "somebody else's");
  for (int n = 0; n < 4; ++n) rig.put(n);
  const auto failures = rig.streamer->finish(soon());
  REQUIRE(failures);
  REQUIRE(failures->size() == 1);
  CHECK(failures->front().path.text() == name_of(1));
  CHECK(failures->front().error.code == std::errc::file_exists);
  CHECK(rig.nodes[0]->file(name_of(1)) == "somebody else's");
  CHECK(rig.streamer->counters().stored_files == 3);
}

}  // namespace
}  // namespace skein
