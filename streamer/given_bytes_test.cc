// Bytes given away come back exactly once, whatever became of their file, and not while a connection
// may still read them.
#include "streamer/given_bytes.h"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "core/checksum.h"
#include "core/scratch_folder.h"
#include "streamer/series_writer.h"
#include "streamer/streamer_scene.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSize = 100'000;

// A camera's buffers. One that comes back is overwritten, as the next exposure would, so that a file
// sent after that is a wrong one.
class Buffers {
 public:
  GivenBytes give(unsigned seed) {
    auto& bytes = all_.emplace_back(std::make_unique<std::string>(sample_bytes(kSize, seed)));
    ++given_;
    const auto take_back = [this](std::string* buffer) {
      std::fill(buffer->begin(), buffer->end(), '#');
      ++back_;
      back_.notify_all();
    };
    return {span_of(*bytes), std::shared_ptr<const std::string>(bytes.get(), take_back)};
  }
  int out() const { return given_ - back_; }

 private:
  std::vector<std::unique_ptr<std::string>> all_;
  int given_ = 0;
  std::atomic<int> back_ = 0;
};

Result<FileStreamer::Ticket> give(FileStreamer& streamer, Buffers& buffers, int n,
                                  Deadline deadline = soon()) {
  return streamer.put_given(path_of(name_of(n)), {}, buffers.give(static_cast<unsigned>(n + 1)),
                            deadline);
}

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("given bytes: stored as they are behind their head, and all back when finish returns") {
  Buffers buffers;
  Rig rig(3);
  const std::string head = "head";
  for (int n = 0; n < 60; ++n) {
    REQUIRE(rig.streamer->put_given(path_of(name_of(n)), span_of(n % 2 == 0 ? head : ""),
                                    buffers.give(static_cast<unsigned>(n + 1)), soon()));
  }
  REQUIRE(rig.streamer->put_given(path_of("empty"), {}, {}, soon()));
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK(buffers.out() == 0);
  CHECK(rig.streamer->counters().queued_bytes == 0);
  CHECK(rig.streamer->counters().stored_bytes == 60 * kSize + 30 * head.size());
  for (int n = 0; n < 60; ++n) {
    const std::string whole = (n % 2 == 0 ? head : "") + sample_bytes(kSize, static_cast<unsigned>(n + 1));
    int copies = 0;
    for (auto& node : rig.nodes) copies += node->file(name_of(n)) == whole;
    CHECK(copies == 1);
  }
}

TEST_CASE("given bytes: a refusal lets go of them within the call") {
  Buffers buffers;
  auto options = quick_options();
  options.queue_bytes = kSize + kSize / 2;
  options.node.stall = 10s;
  Rig rig(1, options);
  CHECK_FALSE(rig.streamer->put_given(path_of(".skein/x"), {}, buffers.give(1), soon()));
  CHECK_FALSE(rig.streamer->put_given(ClusterPath(), {}, buffers.give(1), soon()));
  FixedMembership nobody{NodeList{}};
  FileStreamer alone(nobody, rig.client, options);
  CHECK_FALSE(give(alone, buffers, 0));
  CHECK(buffers.out() == 0);
  Held held(*rig.nodes[0]);
  REQUIRE(give(*rig.streamer, buffers, 1));
  CHECK(rig.streamer->counters().queued_bytes == kSize);  // they count like copied ones
  CHECK(give(*rig.streamer, buffers, 2, Deadline::after(20ms)).error().code ==
        std::errc::no_buffer_space);
  CHECK(buffers.out() == 1);
  held.release();
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK(buffers.out() == 0);
  rig.streamer->abandon();
  CHECK(give(*rig.streamer, buffers, 3).error().code == std::errc::operation_canceled);
  CHECK(buffers.out() == 0);
}

TEST_CASE("given bytes: they stay until a node has them, whatever breaks before") {
  Buffers buffers;
  Rig rig(2);
  std::atomic<int> requests = 0;
  // Cut before it is read, stored but not answered, found damaged, or answered by another's status.
  const auto interrupt = [&](ScriptedServer&, HttpStream& stream,
                             const RequestHead& head) -> std::optional<bool> {
    if (head.method() != "PUT") return std::nullopt;
    const int n = ++requests;
    if (n % 5 != 0 || n > 200) return std::nullopt;
    if (n % 4 == 0) return reset(stream);
    const std::string body = receive_body(stream, head);
    if (n % 4 == 1) return reply(stream, n % 3 == 0 ? 400 : 503);
    if (n % 4 == 2) rig.nodes[0]->add(std::string(head.target().substr(1)), body);
    return reset(stream);
  };
  rig.nodes[0]->interrupt(interrupt);
  for (int n = 0; n < 150; ++n) REQUIRE(give(*rig.streamer, buffers, n));
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK(buffers.out() == 0);
  for (int n = 0; n < 150; ++n) CHECK(rig.stored_somewhere(n, kSize));
  CHECK(rig.streamer->counters().offered_again_files > 0);
}

TEST_CASE("given bytes: a failed file's are kept in the folder before they are let go of") {
  Buffers buffers;
  const ScratchFolder scratch;
  auto options = quick_options();
  options.recovery_folder = scratch.path();
  Rig rig(1, std::move(options));
  rig.nodes[0]->interrupt([](ScriptedServer&, HttpStream& stream, const RequestHead& head) -> std::optional<bool> {
    receive_body(stream, head);
    return reply(stream, 507);
  });
  REQUIRE(rig.streamer->put_given(path_of("full"), span_of("head"), buffers.give(1), soon()));
  rig.nodes[0]->add("taken", "somebody else's");
  const auto failures = rig.streamer->finish(soon());
  REQUIRE(failures);
  REQUIRE(failures->size() == 1);
  CHECK(buffers.out() == 0);
  CHECK(content(failures->front().kept_as) == "head" + sample_bytes(kSize, 1));
}

TEST_CASE("given bytes: what is spilled is let go of, and sent from the disk later") {
  Buffers buffers;
  const ScratchFolder scratch;
  auto options = quick_options();
  options.recovery_folder = scratch.path();
  options.overload = FileStreamer::Overload::kSpill;
  // Much more than sockets take, for what was sent is not spilled.
  options.queue_bytes = 200 * kSize;
  options.node.stall = 20s;
  Rig rig(1, std::move(options));
  Held held(*rig.nodes[0]);
  // More than the queue holds: room comes from the disk alone.
  for (int n = 0; n < 300; ++n) REQUIRE(give(*rig.streamer, buffers, n));
  CHECK(buffers.out() <= 200);
  CHECK(rig.streamer->counters().spilled_in_all_files >= 100);
  held.release();
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK(buffers.out() == 0);
  for (int n = 0; n < 300; ++n) CHECK(rig.stored_somewhere(n, kSize));
}

TEST_CASE("given bytes: the end of the streamer lets go of all, after it has kept what was not stored") {
  Buffers buffers;
  const ScratchFolder scratch;
  auto options = quick_options();
  options.node.stall = 20s;
  SUBCASE("kept") { options.recovery_folder = scratch.path(); }
  SUBCASE("nowhere to keep it") {}
  const bool keeps = !options.recovery_folder.empty();
  Rig rig(1, std::move(options));
  Held held(*rig.nodes[0]);
  for (int n = 0; n < 20; ++n) REQUIRE(give(*rig.streamer, buffers, n));
  CHECK(rig.streamer->finish(Deadline::after(20ms)).error().code == std::errc::timed_out);
  CHECK(buffers.out() == 20);
  rig.streamer.reset();
  CHECK(buffers.out() == 0);
  int kept = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch.path())) {
    if (!entry.is_regular_file()) continue;
    ++kept;
    const int n = std::stoi(entry.path().filename().string().substr(5));
    CHECK(content(entry.path()) == sample_bytes(kSize, static_cast<unsigned>(n + 1)));
  }
  CHECK(kept == (keeps ? 20 : 0));
}

TEST_CASE("given bytes: a node that answers before it has read, and then reads no more, holds nothing up") {
  Buffers buffers;
  Rig rig(2);
  rig.nodes[0]->interrupt([](ScriptedServer& server, HttpStream& stream, const RequestHead&) -> std::optional<bool> {
    reply(stream, 409);
    server.stall();
    return false;
  });
  // More than the sockets hold, so that the sender waits.
  const std::string bytes = sample_bytes(64 << 20);
  std::atomic<int> back = 0;
  const std::shared_ptr<const void> owner(&bytes, [&](const void*) { ++back; });
  REQUIRE(rig.streamer->put_given(path_of("big"), {}, {span_of(bytes), owner}, soon()));
  for (int n = 0; n < 20; ++n) REQUIRE(give(*rig.streamer, buffers, n));
  const auto failures = rig.streamer->finish(soon());
  REQUIRE(failures);
  CHECK(failures->size() == 1);
  CHECK(buffers.out() == 0);
  CHECK(owner.use_count() == 1);
  for (int n = 0; n < 20; ++n) CHECK(rig.nodes[1]->has(name_of(n)));
}

TEST_CASE("given bytes: frames of a series come back when they are coded or stored") {
  constexpr std::uint32_t kSide = 100;
  constexpr std::size_t kRowBytes = 2 * kSide;
  for (const FrameCodec codec : {FrameCodec::kRaw, FrameCodec::kHuffman, FrameCodec::kZstd}) {
    Buffers buffers;
    Rig rig(2);
    SeriesOptions options;
    options.path = path_of("run.pcs");
    options.width = kSide;
    options.height = kSize / 2 / kSide;
    options.coding.codec = codec;
    auto writer = SeriesWriter::create(*rig.membership, rig.client, std::move(options));
    REQUIRE(writer);
    for (unsigned n = 0; n < 40; ++n) {
      auto given = buffers.give(n + 1);
      auto view = camera_frame(given.bytes.data(), PixelType::kUint16, kSide, kSize / 2 / kSide);
      if (n == 3) {  // not dense: from the last row to the first
        view.first = given.bytes.data() + kSize - kRowBytes;
        view.strides[1] = -view.strides[1];
      }
      REQUIRE((*writer)->submit_given(n, view, std::move(given.owner), soon()));
      if (n != 3) continue;
      CHECK(buffers.out() <= 3);  // the fourth was copied
      given = buffers.give(99);
      CHECK_FALSE((*writer)->submit_given(3, view, std::move(given.owner), soon()));  // twice
    }
    const auto outcome = (*writer)->finish({}, soon());
    REQUIRE(outcome);
    CHECK(outcome->complete);
    CHECK(buffers.out() == 0);
    for (unsigned n = 0; n < 40; ++n) {
      const auto path = path_of("run.pcs").child(frame_name(n, codec == FrameCodec::kZstd ? ".szf" : ".pzf"));
      std::string file;
      for (auto& node : rig.nodes) {
        if (node->has(path->text())) file = node->file(path->text());
      }
      const auto frame = decode_frame({reinterpret_cast<const std::uint8_t*>(file.data()), file.size()});
      REQUIRE(frame);
      const std::string expected = sample_bytes(kSize, n + 1);
      const std::string_view pixels(reinterpret_cast<const char*>(frame->pixels.data()), frame->pixels.size());
      if (n == 3) {
        for (std::size_t at = 0; at < kSize; at += kRowBytes) {
          CHECK((pixels.substr(at, kRowBytes) == expected.substr(kSize - kRowBytes - at, kRowBytes)));
        }
      } else {
        CHECK((pixels == expected));
      }
    }
  }
}

TEST_CASE("given bytes: each file goes with the checksum of its head and its bytes") {
  Rig rig(1);
  std::atomic<int> right = 0;
  rig.nodes[0]->interrupt([&](ScriptedServer&, HttpStream& stream, const RequestHead& head) -> std::optional<bool> {
    const std::string body = receive_body(stream, head);
    right += head.find("Repr-Digest") == std::optional<std::string_view>(checksum_field(checksum_of(body)));
    rig.nodes[0]->add(std::string(head.target().substr(1)), body);
    return reply(stream, 200);
  });
  Buffers buffers;
  const std::string head = "head";
  for (int n = 0; n < 20; ++n) {
    REQUIRE(rig.streamer->put_given(path_of(name_of(n)), span_of(n % 2 == 0 ? head : ""),
                                    buffers.give(static_cast<unsigned>(n + 1)), soon()));
  }
  CHECK(rig.streamer->finish(soon())->empty());
  CHECK(right == 20);
}

TEST_CASE("given bytes: their checksum is taken once, and goes with copies of their file") {
  BufferPool pool(1 << 20);
  std::string bytes = sample_bytes(kSize);
  const auto body = pool.take(0, soon(), {span_of(bytes), nullptr});
  REQUIRE(body);
  BodyChecksum checksum = BodyChecksum::when_asked();
  CHECK(checksum.any());
  const std::uint64_t before = checksum_of(bytes);
  CHECK(checksum.of(*body) == before);
  bytes[kSize / 2] ^= 1;  // as a disk might that it was spilled to
  CHECK(checksum.of(*body) == before);
  BodyChecksum copy(checksum);
  CHECK(copy.of(*body) == before);
  CHECK_FALSE(BodyChecksum().any());
}

}  // namespace
}  // namespace skein
