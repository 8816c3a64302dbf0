#include "aggregate/append_target.h"

#include <doctest/doctest.h>

using namespace skein;

namespace {

Result<AppendTarget> parsed(const char* text) {
  return parse_append_target(*ClusterPath::parse(text));
}

}  // namespace

TEST_CASE("append target: only the four first names ask for an append") {
  for (const char* text : {"_aggregate", "_aggregate/a.txt", "__aggregate_txt/a",
                           "__aggregate_h5r/a.h5r", "__aggregate_h5/a.h5/metadata.json"}) {
    CHECK(names_append(*ClusterPath::parse(text)));
  }
  for (const char* text : {"", "a/_aggregate/b.txt", "_aggregates/a.txt", "__aggregate_nonsense/a",
                           "__aggregate/a.txt"}) {
    CHECK_FALSE(names_append(*ClusterPath::parse(text)));
  }
}

TEST_CASE("append target: text below the growing folder stays there, PYME's lies at its own path") {
  const auto here = parsed("_aggregate/run/log.txt");
  REQUIRE(here);
  CHECK(here->kind == GrowthKind::kText);
  CHECK(here->file.text() == "_aggregate/run/log.txt");
  CHECK(here->part.empty());
  const auto pyme = parsed("__aggregate_txt/run/notes.anything");
  REQUIRE(pyme);
  CHECK(pyme->kind == GrowthKind::kText);
  CHECK(pyme->file.text() == "run/notes.anything");
  for (const char* name : {"a.csv", "a.log", "a.json", "a.ndjson", "a.jsonl", "A.TXT"}) {
    CHECK(parsed(("_aggregate/" + std::string(name)).c_str())->kind == GrowthKind::kText);
  }
}

TEST_CASE("append target: a table or member is what follows the file") {
  const auto table = parsed("_aggregate/run/fits.hdf/FitResults");
  REQUIRE(table);
  CHECK(table->kind == GrowthKind::kTable);
  CHECK(table->file.text() == "_aggregate/run/fits.hdf");
  CHECK(table->part == "FitResults");
  const auto pyme = parsed("__aggregate_h5r/run/fits.h5r/Fit/Results");
  REQUIRE(pyme);
  CHECK(pyme->kind == GrowthKind::kTable);
  CHECK(pyme->file.text() == "run/fits.h5r");
  CHECK(pyme->part == "Fit/Results");
  const auto member = parsed("__aggregate_h5/run/s.h5/metadata.json");
  REQUIRE(member);
  CHECK(member->kind == GrowthKind::kSeries);
  CHECK(member->file.text() == "run/s.h5");
  CHECK(member->part == "metadata.json");
  CHECK(parsed("_aggregate/s.h5/frame00001.pzf")->kind == GrowthKind::kSeries);
}

TEST_CASE("append target: what cannot grow is refused") {
  CHECK(parsed("_aggregate").error().code == std::errc::invalid_argument);
  CHECK(parsed("__aggregate_txt").error().code == std::errc::invalid_argument);
  CHECK(parsed("_aggregate/a.bin").error().code == std::errc::not_supported);
  CHECK(parsed("_aggregate/noextension").error().code == std::errc::not_supported);
  CHECK(parsed("_aggregate/a.txt/b").error().code == std::errc::not_supported);
  CHECK(parsed("__aggregate_h5r/a.txt").error().code == std::errc::invalid_argument);
  CHECK(parsed("__aggregate_txt/.skein/node-id").error().code == std::errc::invalid_argument);
}
