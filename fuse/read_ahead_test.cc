#include "fuse/read_ahead.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <random>

using namespace skein;
using namespace std::chrono_literals;

namespace {

char byte_at(std::uint64_t offset) { return static_cast<char>((offset * 2654435761u) >> 13); }

// A file of that size, sent in pieces of an odd size; stops sending at `broken_at`.
ReadAhead::Fetch file_of(std::uint64_t size, std::uint64_t broken_at,
                         std::atomic<std::uint64_t>* sent = nullptr) {
  return [=](std::uint64_t offset, NodeClient::Receiver& to) -> Result<void> {
    while (offset < size) {
      if (offset >= broken_at) return Error{std::errc::connection_reset, "cut"};
      std::span<char> piece = to.room();
      if (piece.empty()) return {};
      piece = piece.first(std::min<std::uint64_t>(
          {70'001, piece.size(), size - offset, broken_at - offset}));
      for (char& byte : piece) byte = byte_at(offset++);
      if (sent) *sent = offset;
      to.received(piece.size());
    }
    return {};
  };
}

bool holds(const Slices& slices, std::uint64_t offset) {
  for (const Slice& slice : slices) {
    for (std::size_t i = 0; i < slice.size; ++i, ++offset) {
      if (slice.begin[i] != byte_at(offset)) return false;
    }
  }
  return true;
}

std::shared_ptr<ChunkMemory> memory() { return std::make_shared<ChunkMemory>(); }

Deadline soon() { return Deadline::after(10s); }

constexpr std::uint64_t kMiB = 1u << 20;

}  // namespace

TEST_CASE("read-ahead: a reader that goes through gets every byte, and memory stays bounded") {
  const std::uint64_t size = 30 * kMiB + 77;
  std::atomic<std::uint64_t> sent{0};
  ReadAhead ahead(memory(), file_of(size, size, &sent));
  ahead.start(0);
  for (std::uint64_t offset = 0; offset < size; offset += 128 * 1024) {
    auto got = ahead.read(offset, 128 * 1024, soon());
    REQUIRE((got && *got));
    REQUIRE(total_size(**got) == std::min<std::uint64_t>(128 * 1024, size - offset));
    REQUIRE(holds(**got, offset));
    REQUIRE(sent <= offset + 128 * 1024 + ReadAhead::kAheadBytes + 2 * 70'001);
  }
}

TEST_CASE("read-ahead: requests that overtake each other are all served") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const std::uint64_t size = 24 * kMiB;
  ReadAhead ahead(memory(), file_of(size, size));
  ahead.start(0);
  for (std::uint64_t base = 0; base < size; base += 2 * kMiB) {
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t i = 0; i < 16; ++i) offsets.push_back(base + i * 128 * 1024);
    std::shuffle(offsets.begin(), offsets.end(), random);
    for (const std::uint64_t offset : offsets) {
      auto got = ahead.read(offset, 128 * 1024, soon());
      REQUIRE((got && *got));
      REQUIRE(holds(**got, offset));
    }
  }
}

TEST_CASE("read-ahead: what lies outside the window is left to the caller") {
  const std::uint64_t size = 40 * kMiB;
  ReadAhead ahead(memory(), file_of(size, size));
  CHECK_FALSE(ahead.read(0, 4096, soon())->has_value());  // not started
  ahead.start(16 * kMiB);
  CHECK_FALSE(ahead.read(0, 4096, soon())->has_value());
  CHECK_FALSE(ahead.read(39 * kMiB, 4096, soon())->has_value());
  CHECK(ahead.read(16 * kMiB, 4096, soon())->has_value());
}

TEST_CASE("read-ahead: a stream that breaks gives what it had, then hands back to the caller") {
  const std::uint64_t size = 8 * kMiB;
  ReadAhead ahead(memory(), file_of(size, 2 * kMiB));
  ahead.start(0);
  auto got = ahead.read(kMiB, kMiB, soon());
  REQUIRE((got && *got));
  CHECK(holds(**got, kMiB));
  CHECK_FALSE(ahead.read(2 * kMiB, 4096, soon())->has_value());
  CHECK_FALSE(ahead.running());
  ahead.start(0);
  CHECK(ahead.read(0, 4096, soon())->has_value());
}

TEST_CASE("read-ahead: a node that stops sending costs the reader its deadline and no more") {
  std::atomic<bool> release{false};
  ReadAhead ahead(memory(), [&](std::uint64_t, NodeClient::Receiver&) -> Result<void> {
    release.wait(false);
    return Error{std::errc::timed_out, "stopped"};
  });
  ahead.start(0);
  const auto got = ahead.read(0, 4096, Deadline::after(50ms));
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().code == std::errc::timed_out);
  release = true;
  release.notify_all();
}

TEST_CASE("sequence: going on where the last request ended counts, jumping about does not") {
  SequenceDetector forward;
  CHECK_FALSE(forward.note(0, 4096));
  CHECK(forward.note(4096, 4096));
  CHECK(forward.note(2 * 4096, 131072));
  CHECK(forward.note(2 * 4096 + 2 * 131072, 131072));  // overtook its neighbour
  CHECK(forward.note(2 * 4096 + 131072, 131072));
  SequenceDetector jumping;
  for (std::uint64_t i = 0; i < 20; ++i) {
    CHECK_FALSE(jumping.note(((i * 7919) % 997 + 10) * 16 * kMiB, 4096));
  }
}
