#include "streamer/file_streamer.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <sstream>

#include "core/checksum.h"
#include "core/scratch_folder.h"
#include "streamer/streamer_scene.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

TEST_CASE("streamer: every file arrives whole, spread over the nodes in turns") {
  Rig rig(3);
  for (int n = 0; n < 300; ++n) rig.put(n, 100 + static_cast<std::size_t>(n) * 37);
  const auto failures = rig.streamer->finish(soon());
  REQUIRE(failures);
  CHECK(failures->empty());
  for (int n = 0; n < 300; ++n) CHECK(rig.stored_somewhere(n, 100 + static_cast<std::size_t>(n) * 37));
  const auto counters = rig.streamer->counters();
  CHECK(counters.stored_files == 300);
  CHECK(counters.stored_bytes == counters.accepted_bytes);
  CHECK(counters.queued_bytes == 0);
  // One connection to each node carries them all.
  for (auto& node : rig.nodes) {
    CHECK(node->server().connections() == 1);
    CHECK(node->server().requests() == 100);
  }
}

TEST_CASE("streamer: a file may be made in the buffer that it is sent from") {
  Rig rig(1);
  const auto fill = [](std::span<char> buffer) { std::fill(buffer.begin(), buffer.end(), 'x'); };
  REQUIRE(rig.streamer->put(path_of("made"), 5000, fill, soon()));
  REQUIRE(rig.streamer->finish(soon()));
  CHECK(rig.nodes[0]->file("made") == std::string(5000, 'x'));
}

TEST_CASE("streamer: chunks of files stay together") {
  auto options = quick_options();
  options.place = place_in_chunks(10);
  std::mutex mutex;
  std::map<std::string, std::string> place;
  options.on_done = [&](const FileStreamer::Done& done) {
    REQUIRE(done.node != nullptr);
    const std::lock_guard lock(mutex);
    place[done.path.text()] = done.node->key();
  };
  Rig rig(2, std::move(options));
  for (int n = 0; n < 40; ++n) rig.put(n);
  REQUIRE(rig.streamer->finish(soon()));
  for (int n = 0; n < 40; ++n) CHECK(place[name_of(n)] == place[name_of(n / 20 * 20 + n / 10 % 2 * 10)]);
  CHECK(place[name_of(0)] != place[name_of(10)]);
}

TEST_CASE("streamer: a full queue refuses at the deadline and accepts again once there is room") {
  auto options = quick_options();
  options.queue_bytes = 10000;
  options.node.stall = 10s;
  Rig rig(1, std::move(options));
  Held held(*rig.nodes[0]);
  const std::string bytes = sample_bytes(4000);
  REQUIRE(rig.streamer->put(path_of("a"), span_of(bytes), soon()));
  REQUIRE(rig.streamer->put(path_of("b"), span_of(bytes), soon()));
  const auto refused = rig.streamer->put(path_of("c"), span_of(bytes), Deadline::after(30ms));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == std::errc::no_buffer_space);
  CHECK(rig.streamer->finish(Deadline::after(10ms)).error().code == std::errc::timed_out);
  held.release();
  CHECK(rig.streamer->put(path_of("c"), span_of(bytes), soon()));
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK(rig.nodes[0]->file("c") == bytes);
  CHECK(rig.streamer->counters().accepted_files == 3);
}

TEST_CASE("streamer: the policy to refuse does not wait for room, and says how often it refused") {
  auto options = quick_options();
  options.queue_bytes = 10000;
  options.overload = FileStreamer::Overload::kRefuse;
  options.node.stall = 10s;
  Rig rig(1, std::move(options));
  Held held(*rig.nodes[0]);
  const std::string bytes = sample_bytes(6000);
  REQUIRE(rig.streamer->put(path_of("a"), span_of(bytes), soon()));
  const auto before = std::chrono::steady_clock::now();
  CHECK(rig.streamer->put(path_of("b"), span_of(bytes), soon()).error().code == std::errc::no_buffer_space);
  CHECK(std::chrono::steady_clock::now() - before < 5s);
  CHECK(rig.streamer->counters().refused_files == 1);
  CHECK(rig.streamer->counters().queued_files == 1);
}

TEST_CASE("streamer: files of one key go to one node") {
  Rig rig(3);
  const std::string bytes = sample_bytes(5000);
  for (int n = 0; n < 6; ++n) {
    REQUIRE(rig.streamer->put(path_of(name_of(n)), span_of(bytes), soon(), "plane 7"));
  }
  CHECK(rig.streamer->finish(soon())->empty());
  int with_all = 0;
  for (auto& node : rig.nodes) {
    int have = 0;
    for (int n = 0; n < 6; ++n) have += node->file(name_of(n)) == bytes;
    with_all += have == 6;
  }
  CHECK(with_all == 1);
}

TEST_CASE("streamer: one node that answers nothing does not fill the queue for the others") {
  auto options = quick_options();
  options.node.stall = 10s;
  options.queue_bytes = 100'000;
  Rig rig(2, std::move(options));
  Held held(*rig.nodes[0]);
  for (int n = 0; n < 300; ++n) rig.put(n);
  const auto deadline = soon();
  while (rig.streamer->counters().queued_files > 50 && !deadline.passed()) std::this_thread::yield();
  CHECK(rig.streamer->counters().queued_files == 50);
  CHECK(rig.streamer->counters().slowest_node == rig.nodes[0]->node().label());
  held.release();
  CHECK(rig.streamer->finish(soon())->empty());
  for (int n = 0; n < 300; ++n) CHECK(rig.stored_somewhere(n));
}

TEST_CASE("streamer: a transfer that takes longer than a stall is none while it makes progress") {
  auto options = quick_options();
  options.node.stall = 500ms;
  Rig rig(1, std::move(options));
  const std::string bytes = sample_bytes(4 << 20);
  std::atomic<int> tries = 0;
  // Takes the body in steps that together last three stalls; a reader's pace is what is tested, so
  // here time itself passes.
  rig.nodes[0]->interrupt([&](ScriptedServer&, HttpStream& stream, const RequestHead& head) -> std::optional<bool> {
    ++tries;
    // A large buffer would take it all at once.
    const int small = 64 << 10;
    ::setsockopt(stream.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    std::string body(head.framing().length, '\0');
    std::size_t got = 0;
    for (int step = 1; step <= 16; ++step) {
      std::mutex never;
      std::unique_lock lock(never);
      std::condition_variable().wait_for(lock, 100ms, [] { return false; });
      while (got < body.size() * static_cast<std::size_t>(step) / 16) {
        const auto n = stream.read(std::span(body).subspan(got), soon());
        if (!n || *n == 0) return false;
        got += *n;
      }
    }
    rig.nodes[0]->add("big", body);
    return reply(stream, 200);
  });
  REQUIRE(rig.streamer->put(path_of("big"), span_of(bytes), soon()));
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK((rig.nodes[0]->file("big") == bytes));
  CHECK(tries == 1);
}

TEST_CASE("streamer: a connection that breaks in mid-stream loses nothing") {
  Rig rig(1);
  std::atomic<int> requests = 0;
  // Every seventh request is cut: before it is read, or after it was stored but not answered.
  rig.nodes[0]->interrupt(
      [&](ScriptedServer&, HttpStream& stream, const RequestHead& head) -> std::optional<bool> {
        if (head.method() != "PUT") return std::nullopt;
        const int n = ++requests;
        if (n % 7 != 0 || n > 100) return std::nullopt;
        if (n % 2 == 0) return reset(stream);
        const std::string body = receive_body(stream, head);
        rig.nodes[0]->add(std::string(head.target().substr(1)), body);
        return reset(stream);
      });
  for (int n = 0; n < 200; ++n) rig.put(n);
  const auto failures = rig.streamer->finish(soon());
  REQUIRE(failures);
  CHECK(failures->empty());
  for (int n = 0; n < 200; ++n) CHECK(rig.stored_somewhere(n));
  CHECK(rig.streamer->counters().offered_again_files > 0);
}

TEST_CASE("streamer: a node that is not there is replaced by the others") {
  Rig rig(2);
  auto list = *rig.membership->nodes();
  list.push_back(dead_node());
  FixedMembership with_dead(list);
  FileStreamer streamer(with_dead, rig.client, quick_options());
  for (int n = 0; n < 30; ++n) {
    const std::string bytes = sample_bytes(1000, static_cast<unsigned>(n + 1));
    REQUIRE(streamer.put(path_of(name_of(n)), span_of(bytes), soon()));
  }
  const auto failures = streamer.finish(soon());
  REQUIRE(failures);
  CHECK(failures->empty());
  for (int n = 0; n < 30; ++n) CHECK(rig.stored_somewhere(n));
  CHECK_FALSE(with_dead.reported.empty());
}

TEST_CASE("streamer: a node that stops answering costs a stall, not a file") {
  Rig rig(2);
  rig.nodes[0]->interrupt([](ScriptedServer& server, HttpStream&, const RequestHead&) -> std::optional<bool> {
    server.stall();
    return false;
  });
  for (int n = 0; n < 40; ++n) rig.put(n);
  const auto failures = rig.streamer->finish(soon());
  REQUIRE(failures);
  CHECK(failures->empty());
  for (int n = 0; n < 40; ++n) CHECK(rig.nodes[1]->has(name_of(n)));
}

TEST_CASE("streamer: a full node hands its files on, and where all are full the bytes are kept") {
  const auto full = [](ScriptedServer&, HttpStream& stream, const RequestHead& head) -> std::optional<bool> {
    receive_body(stream, head);
    return reply(stream, 507);
  };
  SUBCASE("one of two") {
    Rig rig(2);
    rig.nodes[1]->interrupt(full);
    for (int n = 0; n < 20; ++n) rig.put(n);
    CHECK(rig.streamer->finish(soon())->empty());
    for (int n = 0; n < 20; ++n) CHECK(rig.nodes[0]->has(name_of(n)));
  }
  SUBCASE("all") {
    auto options = quick_options();
    const ScratchFolder scratch;
    options.recovery_folder = scratch.path();
    Rig rig(2, std::move(options));
    for (auto& node : rig.nodes) node->interrupt(full);
    rig.put(3);
    const auto failures = rig.streamer->finish(soon());
    REQUIRE(failures);
    REQUIRE(failures->size() == 1);
    CHECK(failures->front().path.text() == name_of(3));
    CHECK(failures->front().error.code == std::errc::no_space_on_device);
    std::ifstream in(failures->front().kept_as, std::ios::binary);
    std::stringstream kept;
    kept << in.rdbuf();
    CHECK(kept.str() == sample_bytes(1000, 4));
  }
}

TEST_CASE("streamer: a checksum goes with each file; one that a node finds damaged goes elsewhere") {
  Rig rig(2);
  std::atomic<int> damaged = 0, wrong = 0;
  const auto check = [&](HttpStream& stream, const RequestHead& head, MemoryNode& node) {
    const std::string body = receive_body(stream, head);
    wrong += head.find("Repr-Digest") != std::optional<std::string_view>(checksum_field(checksum_of(body)));
    if (&node == rig.nodes[0].get() && damaged++ < 3) return reply(stream, 400);
    node.add(std::string(head.target().substr(1)), body);
    return reply(stream, 200);
  };
  for (auto& node : rig.nodes) {
    node->interrupt([&](ScriptedServer&, HttpStream& stream, const RequestHead& head) {
      return std::optional(check(stream, head, *node));
    });
  }
  for (int n = 0; n < 20; ++n) rig.put(n);
  CHECK(rig.streamer->finish(soon())->empty());
  for (int n = 0; n < 20; ++n) CHECK(rig.stored_somewhere(n));
  CHECK(damaged > 3);
  CHECK(wrong == 0);
}

TEST_CASE("streamer: a file that is damaged on its way to the only node is sent again, not for ever") {
  Rig rig(1);
  std::atomic<int> to_damage = 2, tries = 0;
  rig.nodes[0]->interrupt([&](ScriptedServer&, HttpStream& stream, const RequestHead& head) {
    const std::string body = receive_body(stream, head);
    ++tries;
    if (to_damage-- > 0) return std::optional(reply(stream, 400));
    rig.nodes[0]->add(std::string(head.target().substr(1)), body);
    return std::optional(reply(stream, 200));
  });
  rig.put(0);
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK(rig.stored_somewhere(0));
  CHECK(tries == 3);
  to_damage = 1000;
  rig.put(1);
  const auto failures = rig.streamer->finish(soon());
  REQUIRE(failures);
  REQUIRE(failures->size() == 1);
  CHECK(failures->front().error.what.find("status 400") != std::string::npos);
  CHECK(tries == 6);
}

TEST_CASE("streamer: what can't be a file, or has no node to go to, is refused at once") {
  Rig rig(1);
  CHECK(rig.streamer->put(path_of("/"), {}, soon()).error().code == std::errc::invalid_argument);
  CHECK(rig.streamer->put(path_of(".skein/x"), {}, soon()).error().code == std::errc::invalid_argument);
  FixedMembership nobody{NodeList{}};
  FileStreamer alone(nobody, rig.client, quick_options());
  CHECK(alone.put(path_of("a"), {}, soon()).error().code == std::errc::host_unreachable);
  CHECK(rig.streamer->counters().accepted_files == 0);
}

TEST_CASE("streamer: an empty file and a name with odd characters are stored too") {
  Rig rig(1);
  REQUIRE(rig.streamer->put(path_of("a b/%41#\xc3\xa9"), {}, soon()));
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK(rig.nodes[0]->has("a b/%41#\xc3\xa9"));
}

}  // namespace
}  // namespace skein
