#include "cache/tree_record.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace skein {
namespace {

Listing read_back(const std::vector<ListingPiece>& pieces) {
  std::vector<NamedEntry> entries;
  for (const ListingPiece& piece : pieces) REQUIRE(append_piece(piece.bytes, entries));
  return Listing(std::move(entries));
}

Listing frames(int count, int without = -1) {
  std::vector<NamedEntry> entries;
  for (int i = 0; i < count; ++i) {
    if (i != without) entries.push_back({"frame" + std::to_string(1'000'000 + i), {0, 512 * i}});
  }
  return Listing(std::move(entries));
}

TEST_CASE("tree records: extreme numbers come back as they were") {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t size : {kLeast, std::int64_t{-1}, std::int64_t{0}, kMost}) {
    const Inode inode = std::numeric_limits<Inode>::max();
    const NameRecord record{{inode, {0xffffffff, size}, ~size}, true};
    const auto found = decode_name(encode(record));
    REQUIRE(found);
    CHECK(found->entry == record.entry);
    CHECK(found->unconfirmed);
  }
  CHECK(number_of(number_key(0x0123456789abcdef)) == 0x0123456789abcdef);
  CHECK(number_key(255) < number_key(256));
  CHECK(decode_place(encode(Tree::Place{7, "x"}))->name == "x");
  ShareIndex index{9, {{"node1", {0, "\"e\""}}, {"10.0.0.1:80", {65535, ""}}}};
  CHECK(decode_share_index(encode(index))->heads == index.heads);
  CHECK(decode_share_index(encode(index))->version == 9);
}

TEST_CASE("tree records: one name more or less changes one piece of a listing, or two") {
  const auto whole = cut_listing(frames(20'000));
  CHECK(whole.size() > 20);
  for (const int without : {0, 77, 9'999, 19'999}) {
    CAPTURE(without);
    const auto less = cut_listing(frames(20'000, without));
    std::size_t differ = 0;
    for (const ListingPiece& piece : less) {
      const auto same = [&](const ListingPiece& other) {
        return other.first_name == piece.first_name && other.bytes == piece.bytes;
      };
      if (std::none_of(whole.begin(), whole.end(), same)) ++differ;
    }
    CHECK(differ <= 2);
    CHECK(read_back(less) == frames(20'000, without));
  }
}

TEST_CASE("tree records: a listing in pieces comes back, whatever its names") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<NamedEntry> entries;
    for (unsigned n = random() % 500; n > 0; --n) {
      std::string name(1 + random() % 6, 'a');
      for (char& c : name) c = static_cast<char>(random() % 4 == 0 ? random() : 'a' + random() % 3);
      entries.push_back({name, {static_cast<std::uint32_t>(random() % 8),
                                static_cast<std::int64_t>(random()) - 1}});
    }
    const Listing listing(std::move(entries));
    const auto pieces = cut_listing(listing);
    for (std::size_t i = 1; i < pieces.size(); ++i) {
      REQUIRE(pieces[i - 1].first_name < pieces[i].first_name);
    }
    REQUIRE(read_back(pieces) == listing);
  }
}

TEST_CASE("tree records: bytes that nobody wrote are refused or read, never trusted to end") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  const std::string good = encode(NameRecord{{5, {1, 2}, 3}, false});
  for (std::size_t cut = 0; cut < good.size(); ++cut) CHECK_FALSE(decode_name(good.substr(0, cut)));
  CHECK_FALSE(decode_name(good + "x"));
  CHECK_FALSE(decode_place("short"));
  CHECK_FALSE(decode_place(std::string(8, 'x')));
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 3 == 0 ? 0xff : random());
    std::vector<NamedEntry> entries;
    // What counts is that each returns, with no more than the bytes could hold.
    if (append_piece(bytes, entries)) REQUIRE(entries.size() <= bytes.size());
    if (const auto index = decode_share_index(bytes)) REQUIRE(index->heads.size() <= bytes.size());
    if (const auto record = decode_name(bytes)) REQUIRE(bytes.size() >= 4);
  }
}

}  // namespace
}  // namespace skein
