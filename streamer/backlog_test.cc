// Files that no node has in line: parked, spilled, left behind.
#include "streamer/backlog.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "core/scratch_folder.h"
#include "streamer/streamer_scene.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

// A membership whose nodes come and go as the test says.
class ChangingMembership : public FixedMembership {
 public:
  using FixedMembership::FixedMembership;
  NodeSnapshot nodes() const override { return here_ ? FixedMembership::nodes() : nobody_; }
  void be_here(bool here) { here_ = here; }

 private:
  std::atomic<bool> here_ = true;
  const NodeSnapshot nobody_ = std::make_shared<const NodeList>();
};

TEST_CASE("backlog: files put while no node is alive wait for one, and fail when none comes") {
  Rig rig(1);
  ChangingMembership membership(*rig.membership->nodes());
  auto options = quick_options();
  const std::string bytes = sample_bytes(1000);
  SUBCASE("one comes back") {
    FileStreamer streamer(membership, rig.client, options);
    REQUIRE(streamer.put(path_of("a"), span_of(bytes), soon()));
    membership.be_here(false);
    for (const char* name : {"b", "c"}) REQUIRE(streamer.put(path_of(name), span_of(bytes), soon()));
    CHECK(streamer.finish(Deadline::after(20ms)).error().code == std::errc::timed_out);
    membership.be_here(true);
    CHECK(streamer.finish(soon())->empty());
    for (const char* name : {"a", "b", "c"}) CHECK(rig.nodes[0]->file(name) == bytes);
  }
  SUBCASE("none does") {
    const ScratchFolder scratch;
    options.patience = 300ms;
    options.recovery_folder = scratch.path();
    FileStreamer streamer(membership, rig.client, options);
    REQUIRE(streamer.put(path_of("a"), span_of(bytes), soon()));
    CHECK(streamer.flush(soon()));
    membership.be_here(false);
    REQUIRE(streamer.put(path_of("b"), span_of(bytes), soon()));
    const auto failures = streamer.finish(soon());
    REQUIRE(failures);
    REQUIRE(failures->size() == 1);
    CHECK(failures->front().error.code == std::errc::host_unreachable);
    CHECK(std::filesystem::file_size(failures->front().kept_as) == bytes.size());
  }
}

TEST_CASE("backlog: the only node's outage costs no file, and no file's try is without end") {
  Rig rig(1);
  std::atomic<int> refused = 0;
  SUBCASE("it ends") {
    rig.nodes[0]->interrupt([&](ScriptedServer&, HttpStream& stream, const RequestHead& head) -> std::optional<bool> {
      if (refused++ >= 6) return std::nullopt;
      receive_body(stream, head);
      return reply(stream, 503);
    });
    for (int n = 0; n < 3; ++n) rig.put(n);
    CHECK(rig.streamer->finish(soon())->empty());
    for (int n = 0; n < 3; ++n) CHECK(rig.stored_somewhere(n));
  }
  SUBCASE("it does not") {
    rig.nodes[0]->interrupt([](ScriptedServer&, HttpStream& stream, const RequestHead& head) -> std::optional<bool> {
      receive_body(stream, head);
      return reply(stream, 500);
    });
    auto options = quick_options();
    options.patience = 300ms;
    FileStreamer streamer(*rig.membership, rig.client, options);
    REQUIRE(streamer.put(path_of("a"), {}, soon()));
    REQUIRE(streamer.finish(soon())->size() == 1);
  }
}

TEST_CASE("backlog: with a stopped node the queue goes to the disk, and from there to the node") {
  const ScratchFolder scratch;
  auto options = quick_options();
  options.node.stall = 10s;
  options.queue_bytes = 16 << 20;
  options.overload = FileStreamer::Overload::kSpill;
  options.recovery_folder = scratch.path();
  Rig rig(1, std::move(options));
  Held held(*rig.nodes[0]);
  // Twice what the queue holds, of which the sockets take a part.
  constexpr int kFiles = 160;
  constexpr std::size_t kSize = 200'000;
  for (int n = 0; n < kFiles; ++n) rig.put(n, kSize);
  const auto counters = rig.streamer->counters();
  CHECK(counters.spilled_files > 0);
  CHECK(counters.queued_files == kFiles);
  CHECK(counters.queued_bytes <= counters.queue_limit_bytes);
  CHECK(counters.spill_limit_bytes == std::uint64_t{16} << 30);
  held.release();
  CHECK(rig.streamer->finish(soon())->empty());
  for (int n = 0; n < kFiles; ++n) CHECK(rig.stored_somewhere(n, kSize));
  CHECK(rig.streamer->counters().spilled_bytes == 0);
  rig.streamer.reset();
  CHECK(std::filesystem::is_empty(scratch.path()));
}

TEST_CASE("backlog: what is spilled has a bound, behind which put() waits and refuses") {
  const ScratchFolder scratch;
  auto options = quick_options();
  options.node.stall = 10s;
  options.queue_bytes = 16 << 20;
  options.spill_bytes = 2 << 20;
  options.overload = FileStreamer::Overload::kSpill;
  options.recovery_folder = scratch.path();
  Rig rig(1, std::move(options));
  Held held(*rig.nodes[0]);
  const std::string bytes = sample_bytes(100'000);
  std::uint64_t accepted = 0;
  for (; accepted < 1000; ++accepted) {
    if (!rig.streamer->put(path_of(std::to_string(accepted)), span_of(bytes), Deadline::after(500ms))) break;
  }
  CHECK(accepted < 1000);
  CHECK(rig.streamer->counters().spilled_bytes <= 2 << 20);
  CHECK(rig.streamer->counters().spilled_bytes > 0);
  const auto failures = rig.streamer->abandon();
  CHECK(failures.size() == accepted);
  for (const auto& failure : failures) CHECK(std::filesystem::file_size(failure.kept_as) == bytes.size());
  held.release();
}

TEST_CASE("backlog: what a killed program spilled is sent by the next one, and then gone") {
  const ScratchFolder scratch;
  Rig rig(2);
  rig.nodes[1]->add("d/elsewhere", "elsewhere");
  rig.nodes[0]->add("d/sent", "sent before it was killed");
  rig.nodes[0]->add("d/taken", "somebody else's");
  const pid_t child = ::fork();
  if (child == 0) {
    KeptFiles kept(scratch.path());
    const auto keep = [&](const char* path, const std::string& bytes) {
      const auto piece = span_of(bytes);
      (void)kept.keep(path_of(path), {&piece, 1});
    };
    for (const char* path : {"d/a", "d/b"}) keep(path, path);
    keep("d/sent", "sent before it was killed");
    keep("d/elsewhere", "elsewhere");
    keep("d/taken", "ours");
    ::kill(::getpid(), SIGKILL);
  }
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  auto options = quick_options();
  options.recovery_folder = scratch.path();
  {
    FileStreamer streamer(*rig.membership, rig.client, options);
    CHECK(*streamer.send_left_behind() == 5);
    CHECK(*streamer.send_left_behind() == 0);
    const auto failures = streamer.finish(soon());
    REQUIRE(failures);
    REQUIRE(failures->size() == 1);
    CHECK(failures->front().path.text() == "d/taken");
    CHECK(std::filesystem::exists(failures->front().kept_as));
  }
  for (const std::string path : {"d/a", "d/b"}) {
    CHECK((rig.nodes[0]->file(path) == path) != (rig.nodes[1]->file(path) == path));
  }
  CHECK(rig.nodes[0]->file("d/elsewhere") == "");  // one copy is enough
  // The one that is not ours stays, for a person.
  int left = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch.path())) {
    left += entry.is_regular_file();
  }
  CHECK(left == 1);
}

}  // namespace
}  // namespace skein
