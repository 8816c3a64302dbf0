#include "dataserver/content_coding.h"

#include <doctest/doctest.h>

#include <random>
#include <string>


namespace skein {
namespace {

// gzip -n of "hello hello hello\n", and zstd of the same (zstd 1.5, level 3).
const std::string kGzip("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x57\xc8\x40"
                        "\x90\x5c\x00\x3b\x7c\x8a\xdf\x12\x00\x00\x00",
                        29);
const std::string kZstd("\x28\xb5\x2f\xfd\x04\x58\x6d\x00\x00\x38\x68\x65\x6c\x6c\x6f\x20\x0a\x01"
                        "\x00\x31\x4a\x11\xa3\xaa\x74\xce",
                        26);
const std::string kPlain = "hello hello hello\n";

struct Outcome {
  Result<void> taken;
  bool complete = false;
  std::string text;
};

Outcome decode(const char* coding, std::string_view coded, std::size_t piece_bytes) {
  const auto decoder = make_decoder(coding);
  REQUIRE(decoder);
  Outcome outcome;
  const auto give = [&](std::span<const char> piece) -> Result<void> {
    outcome.text.append(piece.data(), piece.size());
    return {};
  };
  while (!coded.empty() && outcome.taken) {
    const std::string_view piece = coded.substr(0, piece_bytes);
    coded.remove_prefix(piece.size());
    outcome.taken = decoder->take(piece, give);
  }
  outcome.complete = decoder->complete();
  return outcome;
}

TEST_CASE("coding: gzip and zstd come back whole, however they are cut") {
  for (const std::size_t piece : {1u, 2u, 7u, 100u}) {
    CAPTURE(piece);
    for (const auto& [coding, coded] : {std::pair("gzip", kGzip), std::pair("zstd", kZstd)}) {
      CAPTURE(coding);
      const Outcome one = decode(coding, coded, piece);
      REQUIRE(one.taken);
      CHECK(one.complete);
      CHECK(one.text == kPlain);
      // Several, one after another, are one body.
      CHECK(decode(coding, coded + coded, piece).text == kPlain + kPlain);
    }
  }
}

TEST_CASE("coding: a cut body is not complete") {
  for (const auto& [coding, coded] : {std::pair("gzip", kGzip), std::pair("zstd", kZstd)}) {
    for (std::size_t n = 0; n < coded.size(); ++n) {
      CAPTURE(n);
      CHECK_FALSE(decode(coding, coded.substr(0, n), 100).complete);
    }
  }
}

TEST_CASE("coding: malformed bodies are refused") {
  for (const char* coding : {"gzip", "zstd"}) {
    const Outcome outcome = decode(coding, "this is no such thing at all", 100);
    REQUIRE_FALSE(outcome.taken);
    CHECK(outcome.taken.error().code == std::errc::bad_message);
  }
  CHECK(make_decoder("br") == nullptr);
  CHECK(make_decoder("gzip, gzip") == nullptr);
}

TEST_CASE("coding: random damage is an error or other bytes, never a crash; seed printed") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 2000; ++i) {
    const bool gzip = random() % 2 == 0;
    std::string coded = gzip ? kGzip : kZstd;
    coded[random() % coded.size()] = static_cast<char>(random());
    const Outcome outcome = decode(gzip ? "gzip" : "zstd", coded, 1 + random() % 30);
    CHECK(outcome.text.size() < 1'000'000);
  }
}

}  // namespace
}  // namespace skein
