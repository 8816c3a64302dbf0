#include "streamer/pzf.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "streamer/huffman.h"

namespace skein {
namespace {

using Bytes = std::vector<std::uint8_t>;

PzfHeader small_header(PixelType type) {
  PzfHeader header;
  header.type = type;
  header.width = 7;
  header.height = 5;
  header.depth = 2;
  header.sequence_id = -3;
  header.frame_number = 42;
  header.timestamp = 1'234'567'890'123;
  return header;
}

Bytes noise(std::size_t size) {
  std::mt19937 random(5);
  Bytes bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random() % 90);
  return bytes;
}

std::uint32_t u32_at(const Bytes& file, std::size_t offset) {
  std::uint32_t value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

TEST_CASE("pzf: every field stands where the format puts it") {
  const PzfHeader header = small_header(PixelType::kUint16);
  const Bytes pixels = noise(header.size_bytes());
  const auto file = encode_pzf(header, pixels, {});
  REQUIRE(file);
  CHECK(std::string(file->begin(), file->begin() + 2) == "BD");
  CHECK((*file)[2] == 3);
  CHECK((*file)[3] == 1);
  CHECK((*file)[4] == 0);
  CHECK((*file)[5] == 0);
  CHECK((*file)[6] == 'C');
  CHECK((*file)[8] == 0xfd);  // -3, lowest byte
  CHECK(u32_at(*file, 16) == 42);
  CHECK(u32_at(*file, 20) == 7);
  CHECK(u32_at(*file, 24) == 5);
  CHECK(u32_at(*file, 28) == 2);
  CHECK(u32_at(*file, 48) == 64);
  CHECK(Bytes(file->begin() + 64, file->end()) == pixels);
}

TEST_CASE("pzf: all pixel types and orders come back whole, raw and coded") {
  for (const PixelType type : {PixelType::kUint8, PixelType::kUint16, PixelType::kFloat32}) {
    for (const char order : {'C', 'F'}) {
      for (const bool huffman : {false, true}) {
        PzfHeader header = small_header(type);
        header.order = order;
        const Bytes pixels = noise(header.size_bytes());
        const auto file = encode_pzf(header, pixels, {huffman, std::nullopt});
        REQUIRE(file);
        const auto frame = decode_pzf(*file);
        REQUIRE(frame);
        CHECK(frame->pixels == pixels);
        CHECK(frame->header.type == type);
        CHECK(frame->header.order == order);
        CHECK(frame->header.depth == 2);
        CHECK(frame->header.sequence_id == -3);
        CHECK(frame->header.timestamp == 1'234'567'890'123);
      }
    }
  }
}

TEST_CASE("pzf: quantized pixels come back within half a step of their square root") {
  PzfHeader header = small_header(PixelType::kUint16);
  header.width = 256;
  header.height = 64;
  header.depth = 1;
  std::vector<std::uint16_t> values(header.pixel_count());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint16_t>(i * 4);
  Bytes pixels(header.size_bytes());
  std::memcpy(pixels.data(), values.data(), pixels.size());
  const SqrtQuantization by{100, 1.1F};
  const auto file = encode_pzf(header, pixels, {true, by});
  REQUIRE(file);
  const auto frame = decode_pzf(*file);
  REQUIRE(frame);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t back;
    std::memcpy(&back, frame->pixels.data() + 2 * i, sizeof back);
    if (values[i] < 100) {
      REQUIRE(back == 100);
      continue;
    }
    const double root = std::sqrt(values[i] - 100.0);
    if (root / 1.1 > 255) continue;  // saturates, as PYME's does
    REQUIRE(std::abs(std::sqrt(back - 100.0) - root) <= 1.1 / 2 + 0.01 + 1 / std::max(1.0, root));
  }
}

TEST_CASE("pzf: a coding that does not go with the pixels is refused") {
  const PzfHeader header = small_header(PixelType::kUint8);
  const Bytes pixels = noise(header.size_bytes());
  CHECK_FALSE(encode_pzf(header, pixels, {true, SqrtQuantization{0, 1}}));
  const PzfHeader wide = small_header(PixelType::kUint16);
  const Bytes more = noise(wide.size_bytes());
  CHECK_FALSE(encode_pzf(wide, more, {false, SqrtQuantization{0, 1}}));
  CHECK_FALSE(encode_pzf(wide, more, {true, SqrtQuantization{-1, 1}}));
  CHECK_FALSE(encode_pzf(wide, more, {true, SqrtQuantization{0, 0}}));
  CHECK_FALSE(encode_pzf(wide, more, {true, SqrtQuantization{0, NAN}}));
  CHECK(encode_pzf(wide, more, {true, SqrtQuantization{0, 1}}));
}

TEST_CASE("pzf: the older versions and the chunked form are read") {
  const PzfHeader header = small_header(PixelType::kUint8);
  const Bytes pixels = noise(header.size_bytes());
  Bytes old = *encode_pzf(header, pixels, {});
  old.erase(old.begin() + 48, old.begin() + 64);
  for (const std::uint8_t version : {1, 2}) {
    old[2] = version;
    CHECK(decode_pzf(old)->pixels == pixels);
  }

  Bytes chunked = *encode_pzf(header, pixels, {});
  chunked.resize(64);
  chunked[4] = 2;
  chunked.insert(chunked.end(), {2, 0});
  for (const auto& [from, to] : {std::pair{0u, 30u}, std::pair{30u, 70u}}) {
    const Bytes part(pixels.begin() + from, pixels.begin() + to);
    Bytes coded(huffman_bound(part.size()));
    coded.resize(huffman_encode(part, coded));
    for (const std::size_t size : {coded.size(), part.size()}) {
      for (int i = 0; i < 4; ++i) chunked.push_back(static_cast<std::uint8_t>(size >> (8 * i)));
    }
    chunked.insert(chunked.end(), coded.begin(), coded.end());
  }
  const auto frame = decode_pzf(chunked);
  REQUIRE(frame);
  CHECK(frame->pixels == pixels);
}

TEST_CASE("pzf: damaged files are refused, and ask for no memory they do not hold") {
  const PzfHeader header = small_header(PixelType::kUint16);
  const Bytes file = *encode_pzf(header, noise(header.size_bytes()), {true, std::nullopt});
  for (std::size_t size = 0; size < file.size(); ++size) {
    const Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    REQUIRE_FALSE(decode_pzf(cut));
  }
  for (const std::size_t offset : {0u, 2u, 3u, 4u, 5u, 6u, 20u, 23u, 27u, 31u, 51u}) {
    CAPTURE(offset);
    Bytes damaged = file;
    damaged[offset] = 0x7f;
    CHECK_FALSE(decode_pzf(damaged));
  }
  Bytes huge = file;
  std::fill(huge.begin() + 20, huge.begin() + 32, 0xff);
  CHECK(decode_pzf(huge).error().code == std::errc::file_too_large);
}

}  // namespace
}  // namespace skein
