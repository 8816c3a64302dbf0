#include "streamer/series_metadata.h"

#include <doctest/doctest.h>

#include <cmath>

namespace skein {
namespace {

TEST_CASE("series metadata: the text that Python's json.dumps(indent=2, sort_keys=True) gives") {
  const SeriesMetadata metadata{{"voxelsize.x", 0.1},
                                {"Camera.Name", std::string("Ixon \"A\" \xc3\xa9")},
                                {"SizeT", std::int64_t{30000}},
                                {"Camera.EMGain", 1.0},
                                {"Camera.Cooling", true},
                                {"Camera.ROI", JsonText{"[0, 0, 512, 512]"}}};
  const auto json = metadata_json(metadata);
  REQUIRE(json);
  CHECK(*json ==
        "{\n"
        "  \"Camera.Cooling\": true,\n"
        "  \"Camera.EMGain\": 1.0,\n"
        "  \"Camera.Name\": \"Ixon \\\"A\\\" \\u00e9\",\n"
        "  \"Camera.ROI\": [\n    0,\n    0,\n    512,\n    512\n  ],\n"
        "  \"SizeT\": 30000,\n"
        "  \"voxelsize.x\": 0.1\n"
        "}");
  const auto back = parse_metadata(*json);
  REQUIRE(back);
  CHECK(back->at("SizeT") == MetadataValue(std::int64_t{30000}));
  CHECK(back->at("Camera.EMGain") == MetadataValue(1.0));
  CHECK(whole_number(*back, "SizeT") == 30000);
  CHECK_FALSE(whole_number(*back, "voxelsize.x"));
  CHECK_FALSE(whole_number(*back, "absent"));
  CHECK(*metadata_json(*back) == *json);
  CHECK(*metadata_json({}) == "{}");
  const std::string large = "{\n  \"Camera.Serial\": 18446744073709551615\n}";
  CHECK(*metadata_json(*parse_metadata(large)) == large);
}

TEST_CASE("series metadata: what is no JSON is refused by the name of its key") {
  const auto refused = [](MetadataValue value) {
    const auto json = metadata_json({{"A.b", std::move(value)}});
    return !json && json.error().code == std::errc::invalid_argument &&
           json.error().what.find("A.b") != std::string::npos;
  };
  CHECK(refused(std::string("\xff\xfe")));
  CHECK(refused(NAN));
  CHECK(refused(INFINITY));
  CHECK(refused(JsonText{"[1,"}));
  CHECK_FALSE(metadata_json({{"", true}}));
  CHECK_FALSE(metadata_json({{"\xff", true}}));
  CHECK_FALSE(parse_metadata("[]"));
  CHECK_FALSE(parse_metadata("{"));
  CHECK(parse_metadata("{\"Camera\":{\"Gain\":1}}").error().what.find("Camera.NAME") !=
        std::string::npos);
}

TEST_CASE("series events: name, description and time of each, in order") {
  const auto json = events_json({{"ShutterOpen", "", 1700000000.25}, {"Focus", "z=1.5", 2}});
  REQUIRE(json);
  CHECK(*json == "[[\"ShutterOpen\",\"\",1700000000.25],[\"Focus\",\"z=1.5\",2.0]]");
  CHECK(*events_json({}) == "[]");
  CHECK_FALSE(events_json({{"a", "\xff", 1}}));
  CHECK_FALSE(events_json({{"a", "", NAN}}));
}

}  // namespace
}  // namespace skein
