#include "streamer/pzf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>

static_assert(std::endian::native == std::endian::little, "frames are read and written in place");

namespace skein {
namespace {

constexpr std::size_t kOldHeaderBytes = 48;
// zstd's densest output, 128 KiB in a block of 4 bytes; a Huffman code takes a bit at least.
constexpr std::uint64_t kMostZstdRatio = 32768;
constexpr std::uint64_t kMostHuffmanRatio = 8;

Error malformed(const char* why) { return {std::errc::bad_message, why}; }

std::uint64_t most_ratio(std::uint8_t compression) {
  if (compression == kWireRaw) return 1;
  return compression == kWireShuffledZstd ? kMostZstdRatio : kMostHuffmanRatio;
}

Result<void> check_sizes(const WireHeader& wire, std::size_t file_bytes) {
  const PzfHeader header = wire.frame();
  // Each product stays below 2^64: the first factors fit in 64 bits and are checked before the next.
  const std::uint64_t plane = std::uint64_t{header.width} * header.height;
  if (plane > kMostPzfPixelBytes || plane * header.depth > kMostPzfPixelBytes ||
      header.size_bytes() > kMostPzfPixelBytes) {
    return Error{std::errc::file_too_large, "frame is larger than 4 GiB"};
  }
  const std::uint64_t coded_bytes = wire.quantized ? header.pixel_count() : header.size_bytes();
  if (coded_bytes > (file_bytes - wire.data_offset) * most_ratio(wire.compression)) {
    return malformed("frame is cut short");
  }
  return {};
}

}  // namespace

PzfHeader WireHeader::frame() const {
  PzfHeader header;
  header.type = static_cast<PixelType>(type);
  header.order = order;
  header.width = width;
  header.height = height;
  header.depth = std::max<std::uint32_t>(depth, 1);
  header.sequence_id = sequence_id;
  header.frame_number = frame_number;
  header.timestamp = timestamp;
  return header;
}

WireHeader make_wire_header(const PzfHeader& header, const FrameCoding& coding) {
  const bool is_zstd = coding.codec == FrameCodec::kZstd;
  WireHeader wire{};
  std::memcpy(wire.magic, is_zstd ? "SZ" : "BD", sizeof wire.magic);
  wire.version = 3;
  wire.type = static_cast<std::uint8_t>(header.type);
  wire.compression = is_zstd                               ? kWireShuffledZstd
                     : coding.codec == FrameCodec::kHuffman ? kWireHuffman
                                                            : kWireRaw;
  wire.quantized = coding.quantization ? 1 : 0;
  wire.order = header.order;
  wire.sequence_id = header.sequence_id;
  wire.frame_number = header.frame_number;
  wire.width = header.width;
  wire.height = header.height;
  wire.depth = header.depth;
  wire.timestamp = header.timestamp;
  if (coding.quantization) {
    wire.offset = coding.quantization->offset;
    wire.scale = coding.quantization->scale;
  }
  wire.data_offset = kPzfHeaderBytes;
  return wire;
}

Result<WireHeader> read_wire_header(std::span<const std::uint8_t> file) {
  if (file.size() < kOldHeaderBytes) return malformed("shorter than a PZF header");
  WireHeader wire{};
  std::memcpy(&wire, file.data(), kOldHeaderBytes);
  const bool is_zstd = std::memcmp(wire.magic, "SZ", 2) == 0;
  if (!is_zstd && std::memcmp(wire.magic, "BD", 2) != 0) return malformed("not a PZF file");
  if (wire.version < 1 || wire.version > 3 || (is_zstd && wire.version != 3)) {
    return malformed("unknown PZF version");
  }
  wire.data_offset = kOldHeaderBytes;
  if (wire.version == 3) {
    if (file.size() < kPzfHeaderBytes) return malformed("shorter than a PZF header");
    std::memcpy(&wire, file.data(), kPzfHeaderBytes);
  }
  if (wire.version == 1) {
    wire.quantized = 0;  // reserved there, like the order
    wire.order = 'C';
  }
  if (wire.type > 2) return malformed("unknown pixel type");
  if (is_zstd != (wire.compression == kWireShuffledZstd) || wire.compression > kWireShuffledZstd) {
    return malformed("unknown compression");
  }
  if (wire.quantized > 1) return malformed("unknown quantization");
  if (wire.order != 'C' && wire.order != 'F') return malformed("unknown dimension order");
  if (wire.data_offset > file.size()) return malformed("data begin beyond the end");
  if (auto fits = check_sizes(wire, file.size()); !fits) return fits.error();
  return wire;
}

}  // namespace skein
