// One image frame in one file. PZF as PYME reads and writes it, and SZF, which is PZF with zstd in
// place of the Huffman code and is Skein's own (docs/wire.md, "PZF frame", "SZF frame").
// Written: version 3, 64-byte header, pixels raw, Huffman- or zstd-coded, uint16 optionally quantized
// by square root. Read: versions 1 to 3, also the chunked form that PYME defines and never writes.
//
// Pixels are an array [width][height][depth]; order C = last axis fastest, F = first axis fastest.
// All multi-byte values are little-endian. Functions are pure, safe concurrently.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "streamer/sqrt_quantization.h"

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

enum class FrameCodec : std::uint8_t { kRaw, kHuffman, kZstd };

struct FrameCoding {
  FrameCodec codec = FrameCodec::kRaw;
  std::optional<SqrtQuantization> quantization;  // uint16 only, and not with kRaw

  // Of the files: ".pzf", or ".szf" for zstd.
  std::string_view suffix() const { return codec == FrameCodec::kZstd ? ".szf" : ".pzf"; }
};

inline constexpr std::size_t kPzfHeaderBytes = 64;
inline constexpr std::size_t kMostPzfPixelBytes = std::size_t{4} << 30;  // guards a reader's memory

// Whether frames of that header can be written so. Errors: invalid_argument (the coding does not go
// with the pixel type, its parameters are out of range, no pixels, over kMostPzfPixelBytes).
Result<void> check_coding(const PzfHeader& header, const FrameCoding& coding);

// What a raw file begins with; the pixels follow.
std::array<std::uint8_t, kPzfHeaderBytes> raw_pzf_header(const PzfHeader& header);

// Writes frames, one after the other, in memory that it keeps. One thread at a time.
class FrameEncoder {
 public:
  explicit FrameEncoder(FrameCoding coding);
  ~FrameEncoder();
  FrameEncoder(const FrameEncoder&) = delete;
  FrameEncoder& operator=(const FrameEncoder&) = delete;

  // A whole file; valid until the next call. Precondition: pixels.size() == header.size_bytes().
  // Errors: as check_coding().
  Result<std::span<const std::uint8_t>> encode(const PzfHeader& header,
                                               std::span<const std::uint8_t> pixels);

 private:
  class Zstd;

  const FrameCoding coding_;
  const std::unique_ptr<Zstd> zstd_;
  std::vector<std::uint8_t> file_;     // only grows
  std::vector<std::uint8_t> rewritten_;  // quantized or shuffled pixels; only grows
};

struct PzfFrame {
  PzfHeader header;
  std::vector<std::uint8_t> pixels;  // header.size_bytes(), in header.order
};

// Errors of the three: bad_message (neither PZF nor SZF, cut short, malformed), file_too_large (over
// kMostPzfPixelBytes).
Result<PzfHeader> read_frame_header(std::span<const std::uint8_t> file);
// Precondition: pixels.size() == the header's size_bytes(). After an error `pixels` is unspecified.
Result<void> decode_frame(std::span<const std::uint8_t> file, std::span<std::uint8_t> pixels);
Result<PzfFrame> decode_frame(std::span<const std::uint8_t> file);

}  // namespace skein
