// The header of PZF and SZF files as it lies in them (docs/wire.md, "PZF frame", "SZF frame").
// Pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "core/error.h"
#include "streamer/pzf.h"

namespace skein {

// Values of WireHeader::compression.
enum WireCompression : std::uint8_t {
  kWireRaw = 0,
  kWireHuffman = 1,
  kWireHuffmanChunks = 2,
  kWireShuffledZstd = 3,  // SZF only
};

// 48 bytes in versions 1 and 2, 64 in version 3.
struct WireHeader {
  char magic[2];
  std::uint8_t version;
  std::uint8_t type;
  std::uint8_t compression;
  std::uint8_t quantized;
  char order;
  std::uint8_t reserved0;
  std::int64_t sequence_id;
  std::uint32_t frame_number;
  std::uint32_t width;
  std::uint32_t height;
  std::uint32_t depth;
  std::uint64_t timestamp;
  float offset;
  float scale;
  std::uint32_t data_offset;
  std::uint8_t reserved[12];

  PzfHeader frame() const;
};
static_assert(sizeof(WireHeader) == kPzfHeaderBytes);

WireHeader make_wire_header(const PzfHeader& header, const FrameCoding& coding);

// Sizes are checked against each other and the limits, so that memory may be taken for them: a
// header cannot ask for more than what the data can hold. Errors: bad_message, file_too_large.
Result<WireHeader> read_wire_header(std::span<const std::uint8_t> file);

}  // namespace skein
