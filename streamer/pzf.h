// PZF: one image frame in one file, as PYME reads and writes it (docs/wire.md, "PZF frame format").
// Written: version 3, 64-byte header, pixels raw or Huffman-coded, uint16 optionally quantized by
// square root. Read: versions 1 to 3, also the chunked form that PYME defines and never writes.
//
// Pixels are an array [width][height][depth]; order C = last axis fastest, F = first axis fastest.
// All multi-byte values are little-endian. Pure functions, safe concurrently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/error.h"

namespace skein {

enum class PixelType : std::uint8_t { kUint8 = 0, kUint16 = 1, kFloat32 = 2 };
std::size_t pixel_bytes(PixelType type);

struct PzfHeader {
  PixelType type = PixelType::kUint16;
  char order = 'C';  // 'C' or 'F'
  std::uint32_t width = 0;   // shape[0]
  std::uint32_t height = 0;  // shape[1]
  std::uint32_t depth = 1;   // shape[2]
  std::int64_t sequence_id = 0;
  std::uint32_t frame_number = 0;
  std::uint64_t timestamp = 0;

  std::size_t pixel_count() const { return std::size_t{width} * height * depth; }
  std::size_t size_bytes() const { return pixel_count() * pixel_bytes(type); }
};

// q = round(sqrt(v - offset) / scale) as one byte; loses less than the photon noise where `scale`
// suits the camera. Restored as floor((q * scale)^2 + offset).
struct SqrtQuantization {
  float offset = 0;  // >= 0
  float scale = 1;   // 0.001 to 100
};

struct PzfCoding {
  bool huffman = false;
  std::optional<SqrtQuantization> quantization;  // uint16 only, and only with huffman
};

inline constexpr std::size_t kPzfHeaderBytes = 64;
inline constexpr std::size_t kMostPzfPixelBytes = std::size_t{4} << 30;  // guards a reader's memory

// A whole file. Precondition: pixels.size() == header.size_bytes(). Errors: invalid_argument (the
// coding does not go with the pixel type, or its parameters are out of range).
Result<std::vector<std::uint8_t>> encode_pzf(const PzfHeader& header,
                                             std::span<const std::uint8_t> pixels,
                                             const PzfCoding& coding);

struct PzfFrame {
  PzfHeader header;
  std::vector<std::uint8_t> pixels;  // header.size_bytes(), in header.order
};

// Errors: bad_message (not PZF, cut short, malformed), file_too_large (over kMostPzfPixelBytes).
Result<PzfFrame> decode_pzf(std::span<const std::uint8_t> file);

}  // namespace skein
