#include "core/checksum.h"

#include <doctest/doctest.h>

#include <string>

using namespace skein;

TEST_CASE("checksum: the values are those of XXH3, 64 bits, as xxhsum prints them") {
  CHECK(checksum_of({}) == 0x2d06800538d394c2);
  CHECK(checksum_text(checksum_of(std::string("a"))) == "e6c632b61e964e1f");
  CHECK(checksum_text(checksum_of(std::string("abc"))) == "78af5f94892f3950");
}

TEST_CASE("checksum: pieces of any size give what the whole gives") {
  std::string whole;
  for (int i = 0; i < 300'000; ++i) whole += static_cast<char>(i * 7 + i / 251);
  for (const std::size_t size : {1UL, 3UL, 240UL, 256UL, 1000UL, 65536UL, 299'999UL}) {
    Checksum pieces;
    for (std::size_t at = 0; at < whole.size(); at += size) {
      pieces.add(std::span(whole).subspan(at, std::min(size, whole.size() - at)));
    }
    CHECK(pieces.value() == checksum_of(whole));
  }
  CHECK(Checksum().value() == checksum_of({}));
}

TEST_CASE("checksum: the value may be asked for on the way") {
  Checksum checksum;
  checksum.add(std::string("ab"));
  CHECK(checksum.value() == checksum_of(std::string("ab")));
  Checksum moved = std::move(checksum);
  moved.add(std::string("c"));
  CHECK(moved.value() == checksum_of(std::string("abc")));
}

TEST_CASE("checksum: the header field holds the eight bytes, big-endian") {
  CHECK(checksum_field(0x2d06800538d394c2) == "xxh3-64=:LQaABTjTlMI=:");
  CHECK(checksum_field(1) == "xxh3-64=:AAAAAAAAAAE=:");
}

TEST_CASE("checksum: the text form is read back, and nothing else is") {
  CHECK(checksum_text(0xab) == "00000000000000ab");
  CHECK(parse_checksum_text("00000000000000ab") == 0xab);
  CHECK(parse_checksum_text(checksum_text(~0ULL)) == ~0ULL);
  for (const char* bad : {"", "ab", "0x000000000000ab", "00000000000000ag", "00000000000000ab0"}) {
    CHECK_FALSE(parse_checksum_text(bad));
  }
}
