#include "streamer/file_streamer.h"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <set>
#include <sstream>

#include "client/scripted_server.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

Deadline soon() { return Deadline::after(20s); }

FileStreamer::Options quick_options() {
  FileStreamer::Options options;
  options.node.stall = 300ms;
  options.node.give_up = 300ms;
  return options;
}

std::string name_of(int n) { return "s/frame" + std::to_string(n) + ".pzf"; }

std::span<const char> span_of(const std::string& text) { return {text.data(), text.size()}; }

// Some nodes, a client and a streamer over them.
struct Rig {
  std::vector<std::unique_ptr<MemoryNode>> nodes;
  NodeClient client{500ms};
  std::unique_ptr<FixedMembership> membership;
  std::unique_ptr<FileStreamer> streamer;

  explicit Rig(int count, FileStreamer::Options options = quick_options()) {
    NodeList list;
    for (int i = 0; i < count; ++i) {
      nodes.push_back(std::make_unique<MemoryNode>());
      list.push_back(nodes.back()->node());
    }
    membership = std::make_unique<FixedMembership>(std::move(list));
    streamer = std::make_unique<FileStreamer>(*membership, client, std::move(options));
  }
  ~Rig() { streamer.reset(); }

  void put(int n, std::size_t size = 1000) {
    const std::string bytes = sample_bytes(size, static_cast<unsigned>(n + 1));
    REQUIRE(streamer->put(path_of(name_of(n)), span_of(bytes), soon()));
  }
  bool stored_somewhere(int n, std::size_t size = 1000) {
    const std::string bytes = sample_bytes(size, static_cast<unsigned>(n + 1));
    for (auto& node : nodes) {
      if (node->file(name_of(n)) == bytes) return true;
    }
    return false;
  }
};

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
  std::atomic<bool> hold = true;
  rig.nodes[0]->interrupt([&](ScriptedServer&, HttpStream&, const RequestHead&) -> std::optional<bool> {
    while (hold) hold.wait(true);
    return std::nullopt;
  });
  const std::string bytes = sample_bytes(4000);
  REQUIRE(rig.streamer->put(path_of("a"), span_of(bytes), soon()));
  REQUIRE(rig.streamer->put(path_of("b"), span_of(bytes), soon()));
  const auto refused = rig.streamer->put(path_of("c"), span_of(bytes), Deadline::after(30ms));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == std::errc::no_buffer_space);
  CHECK(rig.streamer->finish(Deadline::after(10ms)).error().code == std::errc::timed_out);
  hold = false;
  hold.notify_all();
  CHECK(rig.streamer->put(path_of("c"), span_of(bytes), soon()));
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK(rig.nodes[0]->file("c") == bytes);
  CHECK(rig.streamer->counters().accepted_files == 3);
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
    std::string folder = "/tmp/skein-streamer-XXXXXX";
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    options.recovery_folder = folder;
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
    std::filesystem::remove_all(folder);
  }
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
