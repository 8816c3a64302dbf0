#include "streamer/series_check.h"

#include <doctest/doctest.h>

#include "client/scripted_server.h"
#include "streamer/pzf.h"
#include "streamer/series_end.h"
#include "streamer/series_layout.h"

namespace skein {
namespace {

Listing listing_of(const std::vector<std::string>& names) {
  std::vector<NamedEntry> entries;
  for (const auto& name : names) entries.push_back({name, Entry{0, 100}});
  return Listing(std::move(entries));
}

std::vector<std::string> frames_to(std::uint64_t end, std::uint64_t without) {
  std::vector<std::string> names{"metadata.json", "final_metadata.json", "events.json"};
  for (std::uint64_t n = 0; n < end; ++n) {
    if (n != without) names.push_back(frame_name(n, ".pzf"));
  }
  return names;
}

TEST_CASE("series layout: frames are named by five digits, and more where it takes them") {
  CHECK(frame_name(42, ".pzf") == "frame00042.pzf");
  CHECK(frame_name(123456, ".szf") == "frame123456.szf");
  CHECK(parse_frame_name("frame00042.pzf")->index == 42);
  CHECK(parse_frame_name("frame123456.szf")->index == 123456);
  for (const char* other : {"frame42.pzf", "frame000042.pzf", "frame00042.tif", "frame-0042.pzf",
                            "xframe00042.pzf", "frame00042.pzfx", "frame.pzf",
                            "frame99999999999999999999.pzf", "frame 0042.pzf"}) {
    CAPTURE(other);
    CHECK_FALSE(parse_frame_name(other));
  }
}

TEST_CASE("series check: a frame that is missing is named, in the middle and at the end") {
  const SeriesMetadata sizes{{"SizeC", std::int64_t{1}},
                             {"SizeZ", std::int64_t{1}},
                             {"SizeT", std::int64_t{30000}}};
  SeriesState state = series_state(listing_of(frames_to(30000, 17)), sizes);
  CHECK(state.expected == 30000);
  CHECK(state.frames.count() == 29999);
  CHECK(text_of(state.missing(), 5) == "17");
  CHECK_FALSE(state.is_complete());
  state = series_state(listing_of(frames_to(30000, 29999)), sizes);
  CHECK(text_of(state.missing(), 5) == "29999");
  state = series_state(listing_of(frames_to(30000, 30000)), sizes);
  CHECK(state.is_complete());
}

TEST_CASE("series check: without the marker nothing is complete; sizes left open follow the frames") {
  SeriesState state = series_state(listing_of({"metadata.json", "frame00000.pzf"}),
                                   {{"SizeC", std::int64_t{1}},
                                    {"SizeZ", std::int64_t{1}},
                                    {"SizeT", std::int64_t{-1}}});
  CHECK(state.expected == 1);
  CHECK(state.missing().empty());
  CHECK_FALSE(state.is_complete());
  // The count wins over the sizes: the last stack of a recording may be cut.
  state = series_state(listing_of(frames_to(7, 7)), {{"SizeC", std::int64_t{2}},
                                                     {"SizeZ", std::int64_t{1}},
                                                     {"SizeT", std::int64_t{4}},
                                                     {"Skein.Frames", std::int64_t{7}}});
  CHECK(state.is_complete());
}

TEST_CASE("series check: what does not decode, or is another frame, is damaged") {
  MemoryNode node;
  NodeClient client{std::chrono::milliseconds(500)};
  FixedMembership membership({node.node()});
  Downloader downloader(client, membership);
  PzfHeader header;
  header.width = header.height = 4;
  FrameEncoder encoder({FrameCodec::kHuffman, {}});
  for (std::uint32_t n = 0; n < 4; ++n) {
    header.frame_number = n == 2 ? 9 : n;
    const auto file = *encoder.encode(header, std::vector<std::uint8_t>(32, 7));
    std::string bytes(file.begin(), file.end());
    if (n == 1) bytes[3] = 9;
    node.add("s/" + frame_name(n, ".pzf"), bytes);
  }
  node.add("s/metadata.json", "{}");
  node.add("s/events.json", "[]");
  const NodeList nodes{node.node()};
  const auto names = check_series(client, downloader, nodes, path_of("s"), CheckDepth::kNames);
  REQUIRE(names);
  CHECK(names->is_complete());
  const auto pixels = check_series(client, downloader, nodes, path_of("s"), CheckDepth::kPixels);
  REQUIRE(pixels);
  CHECK_FALSE(pixels->is_complete());
  REQUIRE(pixels->damaged.size() == 2);
  CHECK(pixels->damaged[0] == "frame00001.pzf: unknown pixel type");
  CHECK(pixels->damaged[1] == "frame00002.pzf: says that it is frame 9");

  node.add("t/readme", "x");
  CHECK(check_series(client, downloader, nodes, path_of("t"), CheckDepth::kNames).error().code ==
        std::errc::invalid_argument);
}

TEST_CASE("series end: only what has all the frames that were promised lacks nothing but its end") {
  const auto sizes = [](std::int64_t t) {
    return SeriesMetadata{{"SizeC", std::int64_t{1}}, {"SizeZ", std::int64_t{1}}, {"SizeT", t}};
  };
  std::vector<std::string> names{"metadata.json", "frame00000.pzf", "frame00001.pzf"};
  CHECK(lacks_only_its_end(series_state(listing_of(names), sizes(2))));
  CHECK_FALSE(lacks_only_its_end(series_state(listing_of(names), sizes(3))));
  // Nobody knows how many there would have been; PYME writes 1 whatever it records.
  CHECK_FALSE(lacks_only_its_end(series_state(listing_of(names), sizes(-1))));
  CHECK_FALSE(lacks_only_its_end(series_state(listing_of(names), sizes(1))));
  SeriesState state = series_state(listing_of(names), sizes(2));
  state.silent.emplace_back();
  CHECK_FALSE(lacks_only_its_end(state));
  state.silent.clear();
  CHECK(lacks_only_its_end(state));
  state.damaged.emplace_back("frame00001.pzf: empty");
  CHECK_FALSE(lacks_only_its_end(state));
  names.push_back("events.json");
  CHECK_FALSE(lacks_only_its_end(series_state(listing_of(names), sizes(2))));
}

TEST_CASE("series end: the size that is open follows from the frames, a cut last stack included") {
  SeriesMetadata metadata{{"SizeC", std::int64_t{2}}, {"SizeZ", std::int64_t{5}}, {"SizeT", std::int64_t{-1}}};
  close_sizes(metadata, 21);
  CHECK(whole_number(metadata, "SizeT") == 3);
  close_sizes(metadata, 100);  // none is open any more
  CHECK(whole_number(metadata, "SizeT") == 3);
  constexpr std::int64_t kFar = std::int64_t{1} << 32;
  SeriesMetadata absurd{{"SizeC", kFar}, {"SizeZ", kFar}, {"SizeT", std::int64_t{-1}}};
  close_sizes(absurd, 4);
  CHECK(whole_number(absurd, "SizeT") == -1);
  SeriesMetadata none;
  close_sizes(none, 4);
  CHECK(none.empty());
}

}  // namespace
}  // namespace skein
