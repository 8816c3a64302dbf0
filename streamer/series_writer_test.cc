#include "streamer/series_writer.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <nlohmann/json.hpp>

#include "client/scripted_server.h"

namespace skein {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr std::uint32_t kWidth = 16;
constexpr std::uint32_t kHeight = 9;

Deadline soon() { return Deadline::after(20s); }

SeriesOptions quick_options(FrameCodec codec = FrameCodec::kRaw) {
  SeriesOptions options;
  options.path = path_of("day/run.pcs");
  options.width = kWidth;
  options.height = kHeight;
  options.coding.codec = codec;
  options.metadata["Camera.Name"] = std::string("sim");
  options.encode_threads = 2;
  options.stream.node.stall = 300ms;
  options.stream.node.give_up = 300ms;
  return options;
}

// Frame n of a made-up camera.
std::vector<std::uint16_t> pixels_of(std::uint64_t n) {
  std::vector<std::uint16_t> pixels(kWidth * kHeight);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    pixels[i] = static_cast<std::uint16_t>(100 + (n * 31 + i * 7) % 300);
  }
  return pixels;
}

struct Rig {
  std::vector<std::unique_ptr<MemoryNode>> nodes;
  NodeClient client{500ms};
  std::unique_ptr<FixedMembership> membership;
  std::unique_ptr<SeriesWriter> writer;

  explicit Rig(int count) {
    NodeList list;
    for (int i = 0; i < count; ++i) {
      nodes.push_back(std::make_unique<MemoryNode>());
      list.push_back(nodes.back()->node());
    }
    membership = std::make_unique<FixedMembership>(std::move(list));
  }
  Rig(int count, SeriesOptions options) : Rig(count) {
    auto created = SeriesWriter::create(*membership, client, std::move(options));
    REQUIRE(created);
    writer = std::move(*created);
  }
  ~Rig() { writer.reset(); }

  Result<void> submit(std::uint64_t n) {
    const auto pixels = pixels_of(n);
    return writer->submit(n, camera_frame(pixels.data(), PixelType::kUint16, kWidth, kHeight),
                          soon());
  }
  std::string file(const std::string& name) {
    for (auto& node : nodes) {
      if (node->has("day/run.pcs/" + name)) return node->file("day/run.pcs/" + name);
    }
    return {};
  }
  bool has(const std::string& name) { return !file(name).empty(); }
};

bool is_frame(const std::string& file, std::uint64_t n) {
  const auto frame =
      decode_frame({reinterpret_cast<const std::uint8_t*>(file.data()), file.size()});
  if (!frame) return false;
  const auto pixels = pixels_of(n);
  return frame->header.frame_number == n && frame->header.order == 'F' &&
         frame->header.width == kWidth && frame->header.height == kHeight &&
         frame->pixels.size() == 2 * pixels.size() &&
         std::memcmp(frame->pixels.data(), pixels.data(), frame->pixels.size()) == 0;
}

TEST_CASE("series: metadata, frames and the marker, as PYME reads them, in every coding") {
  for (const FrameCodec codec : {FrameCodec::kRaw, FrameCodec::kHuffman, FrameCodec::kZstd}) {
    const std::string suffix = codec == FrameCodec::kZstd ? ".szf" : ".pzf";
    Rig rig(3, quick_options(codec));
    const auto begun = Json::parse(rig.file("metadata.json"));
    CHECK(begun["SizeT"] == -1);
    CHECK(begun["DimOrder"] == "XYCZT");
    CHECK(begun["Camera.Name"] == "sim");
    for (std::uint64_t n = 0; n < 120; ++n) REQUIRE(rig.submit(n));
    REQUIRE(rig.writer->add_event({"Focus", "z=1", 12.5}));
    CHECK_FALSE(rig.has("events.json"));
    const auto outcome = rig.writer->finish({{"Camera.Temperature", -40.0}}, soon());
    REQUIRE(outcome);
    CHECK(outcome->complete);
    CHECK(outcome->stored_frames == 120);
    for (std::uint64_t n = 0; n < 120; ++n) {
      const std::string digits = std::to_string(n);
      CHECK(is_frame(rig.file("frame" + std::string(5 - digits.size(), '0') + digits + suffix), n));
    }
    const auto ended = Json::parse(rig.file("final_metadata.json"));
    CHECK(ended["SizeT"] == 120);
    CHECK(ended["SizeC"] == 1);
    CHECK(ended["imageID"] == begun["imageID"]);
    CHECK(ended["Camera.Temperature"] == -40.0);
    CHECK(ended["EndTime"] >= ended["StartTime"]);
    CHECK(rig.file("events.json") == "[[\"Focus\",\"z=1\",12.5]]");
    CHECK(rig.submit(120).error().code == std::errc::operation_not_permitted);
  }
}

TEST_CASE("series: a name that is taken is refused, by frames, metadata or a file") {
  for (const char* taken : {"day/run.pcs/metadata.json", "day/run.pcs/frame00000.pzf", "day/run.pcs"}) {
    Rig rig(2);
    rig.nodes[1]->add(taken, "x");
    const auto created = SeriesWriter::create(*rig.membership, rig.client, quick_options());
    REQUIRE_FALSE(created);
    CHECK(created.error().code == std::errc::file_exists);
    CHECK(rig.nodes[1]->file(taken) == "x");
  }
}

TEST_CASE("series: options that make no series are refused, and nothing is stored") {
  Rig rig(1);
  const auto refused = [&](const std::function<void(SeriesOptions&)>& spoil) {
    SeriesOptions options = quick_options();
    spoil(options);
    const auto created = SeriesWriter::create(*rig.membership, rig.client, std::move(options));
    return !created && created.error().code == std::errc::invalid_argument;
  };
  CHECK(refused([](SeriesOptions& o) { o.width = 0; }));
  CHECK(refused([](SeriesOptions& o) { o.width = o.height = 1u << 20; }));
  CHECK(refused([](SeriesOptions& o) { o.path = {}; }));
  CHECK(refused([](SeriesOptions& o) { o.dim_order = "YXCZT"; }));
  CHECK(refused([](SeriesOptions& o) { o.dim_order = "XYCZ"; }));
  CHECK(refused([](SeriesOptions& o) { o.shape = {-1, 1, -1}; }));
  CHECK(refused([](SeriesOptions& o) { o.shape.c = 0; }));
  CHECK(refused([](SeriesOptions& o) { o.coding.quantization = SqrtQuantization{}; }));
  CHECK(refused([](SeriesOptions& o) { o.metadata["x"] = std::string("\xff"); }));
  CHECK(rig.nodes[0]->server().requests() == 0);
}

TEST_CASE("series: a frame of another size or type, or a second one of its number, is refused") {
  Rig rig(1, quick_options());
  const std::vector<std::uint16_t> pixels(4 * kWidth * kHeight);
  const auto code_of = [&](std::uint64_t n, FrameView view) {
    const auto done = rig.writer->submit(n, view, soon());
    return done ? std::errc() : done.error().code;
  };
  const auto good = camera_frame(pixels.data(), PixelType::kUint16, kWidth, kHeight);
  CHECK(code_of(0, camera_frame(pixels.data(), PixelType::kUint8, kWidth, kHeight)) ==
        std::errc::invalid_argument);
  CHECK(code_of(0, camera_frame(pixels.data(), PixelType::kUint16, kHeight, kWidth)) ==
        std::errc::invalid_argument);
  CHECK(code_of(0, camera_frame(nullptr, PixelType::kUint16, kWidth, kHeight)) ==
        std::errc::invalid_argument);
  CHECK(code_of(kMostFrames, good) == std::errc::invalid_argument);
  CHECK(code_of(0, good) == std::errc());
  CHECK(code_of(0, good) == std::errc::file_exists);
  CHECK(rig.writer->finish({}, soon())->complete);
}

TEST_CASE("series: a gap keeps the marker away until its frame comes") {
  Rig rig(2, quick_options());
  for (const std::uint64_t n : {0, 1, 3, 4, 7}) REQUIRE(rig.submit(n));
  auto outcome = rig.writer->finish({}, soon());
  REQUIRE(outcome);
  CHECK_FALSE(outcome->complete);
  CHECK(text_of(outcome->missing, 10) == "2, 5-6");
  CHECK_FALSE(rig.has("events.json"));
  CHECK_FALSE(rig.has("final_metadata.json"));
  for (const std::uint64_t n : {2, 5, 6}) REQUIRE(rig.submit(n));
  outcome = rig.writer->finish({}, soon());
  REQUIRE(outcome);
  CHECK(outcome->complete);
  CHECK(rig.has("events.json"));
}

TEST_CASE("series: a frame that no node takes is named, and may be submitted again") {
  for (const FrameCodec codec : {FrameCodec::kRaw, FrameCodec::kHuffman}) {
    Rig rig(2, quick_options(codec));
    std::atomic<bool> is_full = true;
    for (auto& node : rig.nodes) {
      node->interrupt([&](ScriptedServer&, HttpStream& stream,
                          const RequestHead& head) -> std::optional<bool> {
        if (!is_full || head.target().find("frame00002") == std::string::npos) return std::nullopt;
        receive_body(stream, head);
        return reply(stream, 507);
      });
    }
    for (std::uint64_t n = 0; n < 5; ++n) REQUIRE(rig.submit(n));
    auto outcome = rig.writer->finish({}, soon());
    REQUIRE(outcome);
    CHECK_FALSE(outcome->complete);
    REQUIRE(outcome->failures.size() == 1);
    CHECK(outcome->failures[0].index == 2);
    CHECK(outcome->failures[0].error.code == std::errc::no_space_on_device);
    CHECK(outcome->stored_frames == 4);
    CHECK(rig.writer->counters().failed_frames == 1);
    CHECK_FALSE(rig.has("events.json"));
    is_full = false;
    REQUIRE(rig.submit(2));
    CHECK(rig.writer->finish({}, soon())->complete);
    CHECK(is_frame(rig.file("frame00002.pzf"), 2));
  }
}

TEST_CASE("series: a full queue refuses by the deadline, and the number stays free") {
  for (const FrameCodec codec : {FrameCodec::kRaw, FrameCodec::kZstd}) {
    SeriesOptions options = quick_options(codec);
    options.stream.queue_bytes = 700;  // two raw frames
    options.encode_queue_bytes = 700;
    options.encode_threads = 1;
    options.stream.node.stall = 10s;
    Rig rig(1, std::move(options));
    std::atomic<bool> hold = true;
    rig.nodes[0]->interrupt([&](ScriptedServer&, HttpStream&,
                                const RequestHead&) -> std::optional<bool> {
      while (hold) hold.wait(true);
      return std::nullopt;
    });
    const auto pixels = pixels_of(0);
    const auto view = camera_frame(pixels.data(), PixelType::kUint16, kWidth, kHeight);
    std::uint64_t n = 0;
    Result<void> refused;
    while ((refused = rig.writer->submit(n, view, Deadline::after(200ms)))) {
      REQUIRE(++n < 100);
    }
    CHECK(refused.error().code == std::errc::no_buffer_space);
    CHECK(rig.writer->finish({}, Deadline::after(10ms)).error().code == std::errc::timed_out);
    hold = false;
    hold.notify_all();
    REQUIRE(rig.writer->submit(n, view, soon()));
    const auto outcome = rig.writer->finish({}, soon());
    REQUIRE(outcome);
    CHECK(outcome->complete);
    CHECK(outcome->stored_frames == n + 1);
  }
}

TEST_CASE("series: every accepted frame is reported once, with the node that has it") {
  std::mutex mutex;
  std::map<std::uint64_t, int> reported;
  SeriesOptions options = quick_options(FrameCodec::kHuffman);
  options.on_frame = [&](const SeriesOptions::Done& done) {
    const std::lock_guard lock(mutex);
    ++reported[done.index];
    CHECK(done.node != nullptr);
    CHECK(done.latency > 0ns);
  };
  Rig rig(2, std::move(options));
  for (std::uint64_t n = 0; n < 50; ++n) REQUIRE(rig.submit(n));
  REQUIRE(rig.writer->finish({}, soon()));
  CHECK(reported.size() == 50);
  for (const auto& [index, times] : reported) CHECK(times == 1);
}

TEST_CASE("series: many events are refused before they fill the memory") {
  Rig rig(1, quick_options());
  const std::string long_text(1 << 20, 'x');
  Result<void> added;
  int count = 0;
  while ((added = rig.writer->add_event({"E", long_text, 1}))) REQUIRE(++count < 100);
  CHECK(added.error().code == std::errc::no_buffer_space);
  CHECK(rig.writer->add_event({"E", "\xff", 1}).error().code == std::errc::invalid_argument);
  CHECK(rig.writer->finish({}, soon())->complete);
}

}  // namespace
}  // namespace skein
