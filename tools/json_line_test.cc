#include "tools/json_line.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tools/entry_text.h"

namespace skein {
namespace {

TEST_CASE("json line: any parser reads back what was written") {
  const std::string name = "a \"b\"\\\n\x01/\xc3\xa4";
  const std::string line =
      JsonLine().text("name", name).number("n", -5).truth("ok", true).json("j", "[1]").str();
  const auto parsed = nlohmann::json::parse(line);
  CHECK(parsed["name"] == name);
  CHECK(parsed["n"] == -5);
  CHECK(parsed["ok"] == true);
  CHECK(parsed["j"] == nlohmann::json::array({1}));
  CHECK(line.find('\n') == std::string::npos);
  CHECK(JsonLine().str() == "{}");
  CHECK(json_array({}) == "[]");
  CHECK(json_array({"1", "\"a\""}) == "[1,\"a\"]");
}

TEST_CASE("json line: bytes that are no UTF-8 become Python's surrogate escapes") {
  CHECK(json_string("bad\xff") == "\"bad\\udcff\"");
}

TEST_CASE("entry: files have bytes, directories have entries and say whether they are series") {
  const auto file = nlohmann::json::parse(entry_json("/a/b", "b", {0, 12}).str());
  CHECK(file["type"] == "file");
  CHECK(file["size_bytes"] == 12);
  const Entry series{Entry::kDirectory | Entry::kSeries, 3};
  const auto directory = nlohmann::json::parse(entry_json("/a", "a", series).str());
  CHECK(directory["type"] == "directory");
  CHECK(directory["entries"] == 3);
  CHECK(directory["series"] == true);
  CHECK(directory["complete"] == false);
  CHECK(series_text(series) == " [series]");
  CHECK(series_text({7, 3}) == " [series, complete]");
  CHECK(series_text({6, 3}) == "");  // a PYME .h5 file
  CHECK(size_text({0, -1}, false) == "growing");
  CHECK(size_text({0, 2048}, true) == "2.0K");
}

}  // namespace
}  // namespace skein
