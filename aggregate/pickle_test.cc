#include "aggregate/pickle.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "aggregate/numpy_samples.h"
#include "aggregate/pickle_rows.h"

using namespace skein;

TEST_CASE("pickle: what ndarray.dumps() and other protocols write are the same rows") {
  for (const char* hex : {kDumpsHex, kPickle0Hex, kPickle4Hex}) {
    const std::string text = from_hex(hex);
    CHECK(looks_like_pickle(text));
    const auto rows = parse_pickled_rows(text);
    REQUIRE_MESSAGE(rows.ok(), rows.error().what);
    CHECK(rows->count == 2);
    CHECK(rows->bytes == from_hex(kRowsHex));
    REQUIRE(rows->type.fields.size() == 4);
    CHECK(rows->type.fields[1].row.fields[1].big_endian);
    CHECK(rows->type.fields[3].dimensions == std::vector<std::size_t>{2});
  }
}

TEST_CASE("pickle: our own pickles are those rows too") {
  const auto rows = parse_pickled_rows(from_hex(kDumpsHex));
  REQUIRE(rows.ok());
  const PickleFrame frame = pickle_frame(rows->type, rows->count);
  const auto again = parse_pickled_rows(frame.head + rows->bytes + frame.tail);
  REQUIRE_MESSAGE(again.ok(), again.error().what);
  CHECK(again->type == rows->type);
  CHECK(again->bytes == rows->bytes);
}

TEST_CASE("pickle: any other global is refused by its name") {
  const auto evil = parse_pickled_rows(from_hex(kEvalHex));
  REQUIRE_FALSE(evil.ok());
  CHECK(evil.error().code == std::errc::not_supported);
  CHECK(evil.error().what.find("__builtin__.eval") != std::string::npos);
  CHECK(parse_pickled_rows("cposix\nsystem\n(S'true'\ntR.").error().code ==
        std::errc::not_supported);
  CHECK(parse_pickled_rows("\x80\x04\x8c\x02os\x8c\x06system\x93.").error().code ==
        std::errc::not_supported);
  CHECK(parse_pickled_rows(from_hex(kPickle5Hex)).error().code == std::errc::not_supported);
}

TEST_CASE("pickle: no prefix is taken, and a changed byte never reads past the end") {
  for (const char* hex : {kDumpsHex, kPickle0Hex, kPickle4Hex}) {
    const std::string text = from_hex(hex);
    for (std::size_t n = 0; n < text.size(); ++n) {
      CHECK_FALSE(parse_pickled_rows(text.substr(0, n)).ok());
      for (const char c : {'\0', '(', 'R', 'b', '\xff', 'e', '0', '.'}) {
        std::string changed = text;
        changed[n] = c;
        const auto rows = parse_pickled_rows(changed);
        if (rows) CHECK(rows->bytes.size() == rows->count * rows->type.size_bytes);
      }
    }
  }
}

TEST_CASE("pickle: values that hold themselves, and texts unpacked over and over, end") {
  // l = []; l.append(l), as metadata
  CHECK_FALSE(json_of_pickle("(lp0\ng0\na.").has_value());
  // ten lists, each ten times the one before
  std::string bomb = "(lp0\n";
  for (int i = 1; i < 10; ++i) {
    bomb += "(l";
    for (int k = 0; k < 10; ++k) bomb += "g" + std::to_string(i - 1) + "\na";
    bomb += "p" + std::to_string(i) + "\n";
  }
  CHECK_FALSE(json_of_pickle("(" + bomb + "l.").has_value());
  std::string texts = "c_codecs\nencode\np0\n0V" + std::string(1000, 'x') + "\np1\n0(l";
  for (int i = 0; i < 100; ++i) texts += "g0\n(g1\nVlatin1\ntRa";
  const auto refused = Pickle::parse(texts + ".");
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == std::errc::not_supported);
}

TEST_CASE("pickle: a list of events becomes rows, texts cut to their fields") {
  const auto events = parse_pickled_events(from_hex(kEventsHex));
  REQUIRE_MESSAGE(events.ok(), events.error().what);
  CHECK(events->count == 2);
  CHECK(events->bytes.substr(256, 6) == std::string("start\0", 6));
  CHECK(events->bytes.substr(0, 9) == std::string("it began\0", 9));
  CHECK(events->bytes.substr(events->type.size_bytes, 5) == "\xc3\xbc" "ber");
  CHECK_FALSE(parse_pickled_events("(lp0\nI1\na.").ok());
}

TEST_CASE("pickle: JSON values survive the way through a pickle") {
  const auto value = nlohmann::json::parse(
      R"({"a":[1,-2.5,true,null,"x\\y\n"],"ü":{"k":"\u20ac\ud83d\ude00"},"big":9007199254740993})");
  const auto back = json_of_pickle(pickle_of_json(value));
  REQUIRE(back.has_value());
  CHECK(*back == value);
}
