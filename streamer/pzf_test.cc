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

constexpr FrameCodec kCodecs[] = {FrameCodec::kRaw, FrameCodec::kHuffman, FrameCodec::kZstd};

Result<Bytes> encode(const PzfHeader& header, const Bytes& pixels, FrameCoding coding) {
  FrameEncoder encoder(coding);
  const auto file = encoder.encode(header, pixels);
  if (!file) return file.error();
  return Bytes(file->begin(), file->end());
}

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
  const auto file = encode(header, pixels, {});
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
      for (const FrameCodec codec : kCodecs) {
        PzfHeader header = small_header(type);
        header.order = order;
        const Bytes pixels = noise(header.size_bytes());
        const auto file = encode(header, pixels, {codec, std::nullopt});
        REQUIRE(file);
        const auto frame = decode_frame(*file);
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
  const auto file = encode(header, pixels, {FrameCodec::kHuffman, by});
  REQUIRE(file);
  const auto frame = decode_frame(*file);
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
  CHECK_FALSE(encode(header, pixels, {FrameCodec::kHuffman, SqrtQuantization{0, 1}}));
  const PzfHeader wide = small_header(PixelType::kUint16);
  const Bytes more = noise(wide.size_bytes());
  CHECK_FALSE(encode(wide, more, {FrameCodec::kRaw, SqrtQuantization{0, 1}}));
  CHECK_FALSE(encode(wide, more, {FrameCodec::kHuffman, SqrtQuantization{-1, 1}}));
  CHECK_FALSE(encode(wide, more, {FrameCodec::kHuffman, SqrtQuantization{0, 0}}));
  CHECK_FALSE(encode(wide, more, {FrameCodec::kHuffman, SqrtQuantization{0, NAN}}));
  CHECK(encode(wide, more, {FrameCodec::kHuffman, SqrtQuantization{0, 1}}));
}

TEST_CASE("pzf: the older versions and the chunked form are read") {
  const PzfHeader header = small_header(PixelType::kUint8);
  const Bytes pixels = noise(header.size_bytes());
  Bytes old = *encode(header, pixels, {});
  old.erase(old.begin() + 48, old.begin() + 64);
  for (const std::uint8_t version : {1, 2}) {
    old[2] = version;
    CHECK(decode_frame(old)->pixels == pixels);
  }

  Bytes chunked = *encode(header, pixels, {});
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
  const auto frame = decode_frame(chunked);
  REQUIRE(frame);
  CHECK(frame->pixels == pixels);
}

void check_damage(const Bytes& file) {
  for (std::size_t size = 0; size < file.size(); ++size) {
    const Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    REQUIRE_FALSE(decode_frame(cut));
  }
  for (const std::size_t offset : {0u, 2u, 3u, 4u, 5u, 6u, 20u, 23u, 27u, 31u, 51u}) {
    CAPTURE(offset);
    Bytes damaged = file;
    damaged[offset] = 0x7f;
    CHECK_FALSE(decode_frame(damaged));
  }
  Bytes huge = file;
  std::fill(huge.begin() + 20, huge.begin() + 32, 0xff);
  CHECK(decode_frame(huge).error().code == std::errc::file_too_large);
}

TEST_CASE("pzf: damaged files are refused, and ask for no memory they do not hold") {
  const PzfHeader header = small_header(PixelType::kUint16);
  for (const FrameCodec codec : kCodecs) {
    check_damage(*encode(header, noise(header.size_bytes()), {codec, std::nullopt}));
  }
}

TEST_CASE("szf: no reader of PZF takes it for one, and a flipped bit of the data is noticed") {
  const PzfHeader header = small_header(PixelType::kUint16);
  const Bytes file = *encode(header, noise(header.size_bytes()), {FrameCodec::kZstd, {}});
  CHECK(std::string(file.begin(), file.begin() + 2) == "SZ");
  CHECK(file[4] == 3);
  for (std::size_t at = 64; at < file.size(); ++at) {
    Bytes damaged = file;
    damaged[at] ^= 0x10;
    const auto frame = decode_frame(damaged);
    // Bits of zstd's own header that mean nothing may flip; pixels may not.
    if (frame) CHECK(frame->pixels == noise(header.size_bytes()));
  }
}

TEST_CASE("szf: camera noise takes less than half, and quantized pixels are the same as in PZF") {
  PzfHeader header = small_header(PixelType::kUint16);
  header.width = header.height = 256;
  header.depth = 1;
  std::mt19937 random(3);
  std::poisson_distribution<int> photons(100);
  Bytes pixels(header.size_bytes());
  for (std::size_t i = 0; i < pixels.size(); i += 2) {
    const auto value = static_cast<std::uint16_t>(photons(random));
    std::memcpy(pixels.data() + i, &value, sizeof value);
  }
  const auto plain = encode(header, pixels, {FrameCodec::kZstd, {}});
  CHECK(plain->size() < pixels.size() / 2);
  CHECK(decode_frame(*plain)->pixels == pixels);

  const SqrtQuantization by{0, 0.5F};
  const auto szf = encode(header, pixels, {FrameCodec::kZstd, by});
  const auto pzf = encode(header, pixels, {FrameCodec::kHuffman, by});
  CHECK(decode_frame(*szf)->pixels == decode_frame(*pzf)->pixels);
}

TEST_CASE("pzf: an encoder is used again for frames of other sizes, smaller ones too") {
  for (const FrameCodec codec : kCodecs) {
    FrameEncoder encoder({codec, std::nullopt});
    for (const std::uint32_t width : {40u, 3u, 17u}) {
      PzfHeader header = small_header(PixelType::kUint16);
      header.width = width;
      const Bytes pixels = noise(header.size_bytes());
      CHECK(decode_frame(*encoder.encode(header, pixels))->pixels == pixels);
    }
  }
}

}  // namespace
}  // namespace skein
