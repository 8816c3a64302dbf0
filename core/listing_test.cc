#include "core/listing.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

namespace skein {
namespace {

constexpr std::uint32_t kDir = Entry::kDirectory;

Listing merge_of(const std::vector<Listing>& shares) {
  std::vector<const Listing*> pointers;
  for (const Listing& share : shares) pointers.push_back(&share);
  return merge(pointers);
}

TEST_CASE("listing: sorted by name, the last of equal names wins") {
  const Listing listing({{"b", {0, 1}}, {"a", {0, 2}}, {"b", {0, 3}}});
  CHECK(listing.entries() == std::vector<NamedEntry>{{"a", {0, 2}}, {"b", {0, 3}}});
  CHECK(listing.find("b")->size == 3);
  CHECK(listing.find("c") == nullptr);
  CHECK(listing.find("") == nullptr);
}

TEST_CASE("listing: a name that is file and directory is found as the directory") {
  const Listing listing({{"x", {kDir, 4}}, {"x", {0, 9}}});
  CHECK(listing.size() == 2);
  CHECK(listing.find("x")->is_directory());
}

TEST_CASE("merge: types are or-ed, directory sizes add up, file sizes are the last node's") {
  const Listing merged = merge_of({Listing({{"d", {kDir, 3}}, {"f", {0, 10}}}),
                                   Listing({{"d", {kDir | Entry::kSeries, 4}}, {"f", {0, 20}}})});
  CHECK(*merged.find("d") == Entry{kDir | Entry::kSeries, 7});
  CHECK(*merged.find("f") == Entry{0, 20});
}

TEST_CASE("merge: nothing merged is empty, one share is itself") {
  CHECK(merge_of({}).size() == 0);
  const Listing one({{"a", {0, 1}}});
  CHECK(merge_of({one}) == one);
}

TEST_CASE("merge: equals a plain map of the rule for random shares") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 500; ++round) {
    std::vector<Listing> shares;
    std::map<std::pair<std::string, bool>, Entry> model;
    for (unsigned s = random() % 5; s > 0; --s) {
      std::vector<NamedEntry> entries;
      for (unsigned n = random() % 20; n > 0; --n) {
        const Entry entry{static_cast<std::uint32_t>(random() % 8),
                          static_cast<std::int64_t>(random() % 100)};
        entries.push_back({std::string(1, static_cast<char>('a' + random() % 10)), entry});
      }
      shares.emplace_back(std::move(entries));
      for (const NamedEntry& e : shares.back().entries()) {
        const auto [at, fresh] = model.try_emplace({e.name, e.entry.is_directory()}, e.entry);
        if (fresh) continue;
        at->second.type |= e.entry.type;
        at->second.size = e.entry.is_directory() ? at->second.size + e.entry.size : e.entry.size;
      }
    }
    const Listing merged = merge_of(shares);
    REQUIRE(merged.size() == model.size());
    std::size_t i = 0;
    for (const auto& [key, entry] : model) {
      REQUIRE(merged.entries()[i].name == key.first);
      REQUIRE(merged.entries()[i].entry == entry);
      ++i;
    }
  }
}

TEST_CASE("listing json: the forms PYME sends are read") {
  const auto listing = parse_listing_json(
      " {\"frame00001.pzf\" : [0, 120],\"a\\/\":[1,2], \"s\\u00e9rie/\":[2,-1],\"\\ud83d\\ude00\":[6,7]}\n");
  REQUIRE(listing);
  CHECK(*listing->find("frame00001.pzf") == Entry{0, 120});
  CHECK(*listing->find("a") == Entry{kDir, 2});
  // The series bit alone with a slash: a directory all the same.
  CHECK(*listing->find("s\xc3\xa9rie") == Entry{kDir | Entry::kSeries, -1});
  CHECK(*listing->find("\xf0\x9f\x98\x80") == Entry{6, 7});
  CHECK(parse_listing_json("{}")->size() == 0);
}

// Fed in pieces of `step` bytes; nullopt: refused, or not at its end.
std::optional<std::vector<NamedEntry>> in_pieces(std::string_view json, std::size_t step) {
  ListingReader reader;
  std::vector<NamedEntry> all;
  for (std::size_t at = 0; at < json.size(); at += step) {
    if (!reader.take(json.substr(at, step))) return std::nullopt;
    for (NamedEntry& named : reader.take_entries()) all.push_back(std::move(named));
  }
  if (!reader.complete()) return std::nullopt;
  return all;
}

TEST_CASE("listing json: wherever it is cut into pieces, the same is read") {
  const std::string json =
      " { \"frame00001.pzf\" : [0, 120] ,\"a\\/\":[1,-2], \"s\\u00e9rie/\":[2,-1],\n"
      "\"\\ud83d\\ude00\":[6,7],\"\\\"\\\\\":[0,9223372036854775807]} \n";
  const auto whole = in_pieces(json, json.size());
  REQUIRE(whole);
  CHECK(whole->size() == 5);
  for (std::size_t step = 1; step < json.size(); ++step) {
    CAPTURE(step);
    CHECK(in_pieces(json, step) == whole);
  }
  CHECK(in_pieces("{}", 1)->empty());
}

TEST_CASE("listing json: an entry is there as soon as its text is") {
  ListingReader reader;
  REQUIRE(reader.take("{\"a\":[0,1],\"b\":[0,2"));
  CHECK(reader.take_entries() == std::vector<NamedEntry>{{"a", {0, 1}}});
  CHECK_FALSE(reader.complete());
  REQUIRE(reader.take("5]"));
  CHECK(reader.take_entries() == std::vector<NamedEntry>{{"b", {0, 25}}});
  REQUIRE(reader.take("  "));
  REQUIRE(reader.take("}"));
  CHECK(reader.take_entries().empty());
  CHECK(reader.complete());
  CHECK_FALSE(reader.take("{"));
}

TEST_CASE("listing json: a name without end is refused before it fills the memory") {
  ListingReader reader;
  Result<void> taken = reader.take("{\"");
  for (int i = 0; taken && i < 1000; ++i) taken = reader.take(std::string(100, 'x'));
  CHECK_FALSE(taken);
}

TEST_CASE("listing json: anything else is refused") {
  for (const char* json :
       {"", "[]", "{", "{}x", "{\"a\"}", "{\"a\":1}", "{\"a\":[1]}", "{\"a\":[1,2,3]}",
        "{\"a\":[1,2],}", "{\"a\":[1,2] \"b\":[1,2]}", "{\"..\":[0,1]}", "{\"../\":[1,1]}",
        "{\"a/b\":[0,1]}", "{\"\":[0,1]}", "{\"/\":[1,1]}", "{\"a\\u0000b\":[0,1]}",
        "{\"\\ud83d\":[0,1]}", "{\"\\udc00\":[0,1]}", "{\"\\udc7f\":[0,1]}", "{\"\\ud83dx\":[0,1]}", "{\"\\x\":[0,1]}",
        "{\"a\":[-1,2]}", "{\"a\":[99999999999999999999,2]}", "<html>", "{\"a\":[0,1]", "{\"a"}) {
    CAPTURE(json);
    const auto listing = parse_listing_json(json);
    REQUIRE_FALSE(listing);
    CHECK(listing.error().code == std::errc::bad_message);
    CHECK_FALSE(in_pieces(json, 1));
  }
}

TEST_CASE("listing json: names that are no UTF-8 come back byte for byte, in plain JSON") {
  const Listing listing({{"a\xff" "b", {0, 1}}, {"\xed\xa0\x80", {0, 2}}, {std::string(255, '\xa0'), {0, 3}}});
  const std::string json = to_json(listing);
  CHECK(json.find("\"a\\udcffb\"") != std::string::npos);
  const auto again = parse_listing_json(json);
  REQUIRE(again);
  CHECK(*again == listing);
}

TEST_CASE("listing json: what is written is read back equal") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  const std::vector<std::string> pieces{"a", "\"", "\\", "\n", "\x7f", "\xc3\xa9", "\xf0\x9f\x98\x80",
                                        " ", "{", ":", "\x01", "\xff", "\xe2\x82"};
  for (int round = 0; round < 300; ++round) {
    std::vector<NamedEntry> entries;
    for (unsigned n = random() % 30; n > 0; --n) {
      std::string name;
      for (unsigned k = 1 + random() % 6; k > 0; --k) name += pieces[random() % pieces.size()];
      entries.push_back({name, {static_cast<std::uint32_t>(random() % 8),
                                static_cast<std::int64_t>(random()) - 1}});
    }
    const Listing listing(std::move(entries));
    const auto again = parse_listing_json(to_json(listing));
    REQUIRE(again);
    REQUIRE(*again == listing);
  }
}

}  // namespace
}  // namespace skein
