#include "fuse/unsent_bytes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

using namespace skein;

namespace {

constexpr std::uint64_t kPiece = UnsentBytes::kPieceBytes;
constexpr std::uint64_t kFar = 1 << 20;  // not joined over such a gap

}  // namespace

TEST_CASE("unsent bytes: what was written in order is taken in pieces, the rest at the end") {
  UnsentBytes unsent;
  unsent.written(0, kPiece - 1);
  CHECK_FALSE(unsent.has_piece());
  CHECK_FALSE(unsent.next_in_order());
  unsent.written(kPiece - 1, 2 * kPiece + 5);
  CHECK(unsent.next_in_order() == ByteRange{0, kPiece});
  CHECK(unsent.next_in_order() == ByteRange{kPiece, 2 * kPiece});
  CHECK_FALSE(unsent.has_piece());
  CHECK(unsent.take_all(2 * kPiece + 5) ==
        std::vector<ByteRange>{{2 * kPiece, 2 * kPiece + 5}});
  CHECK(unsent.take_all(2 * kPiece + 5).empty());
}

TEST_CASE("unsent bytes: a byte written again after it was sent is sent again") {
  UnsentBytes unsent;
  unsent.written(0, 2 * kPiece);
  REQUIRE(unsent.next_in_order());
  unsent.written(3, 4);
  CHECK(unsent.next_in_order() == ByteRange{kPiece, 2 * kPiece});
  CHECK(unsent.take_all(2 * kPiece) == std::vector<ByteRange>{{3, 4}});
}

TEST_CASE("unsent bytes: a hole is not sent, a small one is") {
  UnsentBytes unsent;
  unsent.written(0, 10);
  unsent.written(20, 30);
  unsent.written(kFar, kFar + 1);
  CHECK(unsent.take_all(kFar + 100) == std::vector<ByteRange>{{0, 30}, {kFar, kFar + 1}});
}

TEST_CASE("unsent bytes: what was cut off after it was sent reads as zeros when the file grows") {
  UnsentBytes unsent;
  unsent.written(0, 2 * kPiece);
  REQUIRE(unsent.next_in_order());
  REQUIRE(unsent.next_in_order());
  unsent.truncated(100);
  CHECK_FALSE(unsent.has_piece());  // the file may be shorter than that
  CHECK(unsent.take_all(kFar) == std::vector<ByteRange>{{100, kFar}});
}

TEST_CASE("unsent bytes: what was written behind the size that is sent stays unsent") {
  UnsentBytes unsent;
  unsent.written(0, kFar);
  unsent.written(kFar + 2 * kFar, kFar + 3 * kFar);
  CHECK(unsent.take_all(kFar / 2) == std::vector<ByteRange>{{0, kFar / 2}});
  CHECK(unsent.take_all(4 * kFar) ==
        std::vector<ByteRange>{{kFar / 2, kFar}, {3 * kFar, 4 * kFar}});
}

TEST_CASE("unsent bytes: another node gets all of it, in order again") {
  UnsentBytes unsent;
  unsent.written(0, 2 * kPiece);
  REQUIRE(unsent.next_in_order());
  unsent.start_again();
  CHECK_FALSE(unsent.has_piece());
  unsent.written(0, 2 * kPiece);
  CHECK(unsent.next_in_order() == ByteRange{0, kPiece});
}

TEST_CASE("unsent bytes: however scattered the writes, a node that takes all has the file") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  UnsentBytes unsent;
  constexpr std::uint64_t kScale = UnsentBytes::kJoinBytes;  // one byte of the model
  std::vector<int> file;
  std::vector<int> node;
  const auto write = [&](std::uint64_t begin, std::uint64_t count, int value) {
    file.resize(std::max<std::size_t>(file.size(), begin + count));
    std::fill_n(file.begin() + static_cast<long>(begin), count, value);
    unsent.written(begin * kScale, (begin + count) * kScale);
  };
  const auto send = [&](const ByteRange& range) {
    node.resize(std::max<std::size_t>(node.size(), range.end / kScale));
    for (auto at = range.begin / kScale; at < range.end / kScale; ++at) node[at] = file.at(at);
  };
  std::size_t written_end = 0;
  std::size_t size_when_sent = 0;  // or when it was cut
  for (int step = 1; step < 20000; ++step) {
    const auto choice = random() % 100;
    if (choice < 50) {
      write(written_end, 1 + random() % 80, step);
    } else if (choice < 90) {
      write(random() % 20000, 1 + random() % 3, step);
    } else if (choice < 92) {
      file.resize(random() % (file.size() + 1));
      unsent.truncated(file.size() * kScale);
      size_when_sent = file.size();
    } else if (choice < 98) {
      if (const auto piece = unsent.next_in_order()) send(*piece);
      size_when_sent = file.size();
    } else {
      // One in two was told of the file's size before the last writes.
      const std::size_t grown = file.size() - size_when_sent;
      const std::size_t size = file.size() - (choice == 98 ? random() % (grown + 1) : 0);
      for (const ByteRange& range : unsent.take_all(size * kScale)) send(range);
      node.resize(size);
      REQUIRE(std::equal(node.begin(), node.end(), file.begin()));
      size_when_sent = file.size();
    }
    written_end = file.size();
  }
}
