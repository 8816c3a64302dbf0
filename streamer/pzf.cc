#include "streamer/pzf.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

#include "streamer/huffman.h"

static_assert(std::endian::native == std::endian::little, "PZF is read and written in place");

namespace skein {
namespace {

enum Compression : std::uint8_t { kRaw = 0, kHuffman = 1, kHuffmanChunks = 2 };

// The file's header; 48 bytes in versions 1 and 2, 64 in version 3.
struct Wire {
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
};
static_assert(sizeof(Wire) == kPzfHeaderBytes);
constexpr std::size_t kOldHeaderBytes = 48;

Error malformed(const char* why) { return {std::errc::bad_message, why}; }

std::vector<std::uint8_t> quantize(std::span<const std::uint8_t> pixels, SqrtQuantization by) {
  std::vector<std::uint8_t> quantized(pixels.size() / 2);
  for (std::size_t i = 0; i < quantized.size(); ++i) {
    std::uint16_t value;
    std::memcpy(&value, pixels.data() + 2 * i, sizeof value);
    const float above = std::max(0.0F, static_cast<float>(value) - by.offset);
    quantized[i] = static_cast<std::uint8_t>(std::min(255.0F, std::sqrt(above) / by.scale + 0.5F));
  }
  return quantized;
}

void restore(std::span<const std::uint8_t> quantized, SqrtQuantization by, PixelType type,
             std::span<std::uint8_t> pixels) {
  for (std::size_t i = 0; i < quantized.size(); ++i) {
    const float root = static_cast<float>(quantized[i]) * by.scale;
    const float value = std::floor(root * root + by.offset);
    if (type == PixelType::kUint8) {
      pixels[i] = static_cast<std::uint8_t>(std::clamp(value, 0.0F, 255.0F));
    } else if (type == PixelType::kUint16) {
      const auto pixel = static_cast<std::uint16_t>(std::clamp(value, 0.0F, 65535.0F));
      std::memcpy(pixels.data() + 2 * i, &pixel, sizeof pixel);
    } else {
      std::memcpy(pixels.data() + 4 * i, &value, sizeof value);
    }
  }
}

Result<void> check(const PzfHeader& header, const PzfCoding& coding) {
  const auto refuse = [](const char* why) { return Error{std::errc::invalid_argument, why}; };
  if (header.order != 'C' && header.order != 'F') return refuse("order is neither C nor F");
  if (!coding.quantization) return {};
  // PYME's reader cannot read quantized data that is not Huffman-coded.
  if (!coding.huffman) return refuse("quantization goes with Huffman coding only");
  if (header.type != PixelType::kUint16) return refuse("only uint16 can be quantized");
  const SqrtQuantization& by = *coding.quantization;
  if (!(by.offset >= 0) || !(by.scale >= 0.001F && by.scale <= 100.0F)) {
    return refuse("quantization needs offset >= 0 and scale from 0.001 to 100");
  }
  return {};
}

Result<void> decode_chunks(std::span<const std::uint8_t> data, std::span<std::uint8_t> out) {
  std::uint16_t count = 0;
  if (data.size() < sizeof count) return malformed("chunked data is cut short");
  std::memcpy(&count, data.data(), sizeof count);
  data = data.subspan(sizeof count);
  for (; count > 0; --count) {
    std::uint32_t sizes[2];  // compressed, raw
    if (data.size() < sizeof sizes) return malformed("chunk header is cut short");
    std::memcpy(sizes, data.data(), sizeof sizes);
    data = data.subspan(sizeof sizes);
    if (sizes[0] > data.size() || sizes[1] > out.size()) return malformed("chunk sizes do not fit");
    if (auto done = huffman_decode(data.first(sizes[0]), out.first(sizes[1])); !done) return done;
    data = data.subspan(sizes[0]);
    out = out.subspan(sizes[1]);
  }
  return out.empty() ? Result<void>() : malformed("chunks hold less than the frame");
}

Result<void> decode_data(std::uint8_t compression, std::span<const std::uint8_t> data,
                         std::span<std::uint8_t> out) {
  switch (compression) {
    case kRaw:
      std::memcpy(out.data(), data.data(), out.size());
      return {};
    case kHuffman: return huffman_decode(data, out);
    case kHuffmanChunks: return decode_chunks(data, out);
    default: return malformed("unknown compression");
  }
}

Result<Wire> read_header(std::span<const std::uint8_t> file) {
  if (file.size() < kOldHeaderBytes) return malformed("shorter than a PZF header");
  Wire wire{};
  std::memcpy(&wire, file.data(), kOldHeaderBytes);
  if (wire.magic[0] != 'B' || wire.magic[1] != 'D') return malformed("not a PZF file");
  if (wire.version < 1 || wire.version > 3) return malformed("unknown PZF version");
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
  if (wire.quantized > 1) return malformed("unknown quantization");
  if (wire.order != 'C' && wire.order != 'F') return malformed("unknown dimension order");
  if (wire.data_offset > file.size()) return malformed("data begin beyond the end");
  return wire;
}

}  // namespace

std::size_t pixel_bytes(PixelType type) {
  return std::size_t{1} << static_cast<unsigned>(type);  // 1, 2, 4
}

Result<std::vector<std::uint8_t>> encode_pzf(const PzfHeader& header,
                                             std::span<const std::uint8_t> pixels,
                                             const PzfCoding& coding) {
  assert(pixels.size() == header.size_bytes());
  if (auto checked = check(header, coding); !checked) return checked.error();
  Wire wire{};
  wire.magic[0] = 'B';
  wire.magic[1] = 'D';
  wire.version = 3;
  wire.type = static_cast<std::uint8_t>(header.type);
  wire.compression = coding.huffman ? kHuffman : kRaw;
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

  std::vector<std::uint8_t> quantized;
  if (coding.quantization) {
    quantized = quantize(pixels, *coding.quantization);
    pixels = quantized;
  }
  const std::size_t room = coding.huffman ? huffman_bound(pixels.size()) : pixels.size();
  std::vector<std::uint8_t> file(kPzfHeaderBytes + room);
  std::memcpy(file.data(), &wire, sizeof wire);
  const auto data = std::span(file).subspan(kPzfHeaderBytes);
  if (coding.huffman) {
    file.resize(kPzfHeaderBytes + huffman_encode(pixels, data));
  } else {
    std::copy(pixels.begin(), pixels.end(), data.begin());
  }
  return file;
}

Result<PzfFrame> decode_pzf(std::span<const std::uint8_t> file) {
  const auto wire = read_header(file);
  if (!wire) return wire.error();
  PzfFrame frame;
  PzfHeader& header = frame.header;
  header.type = static_cast<PixelType>(wire->type);
  header.order = wire->order;
  header.width = wire->width;
  header.height = wire->height;
  header.depth = std::max<std::uint32_t>(wire->depth, 1);
  header.sequence_id = wire->sequence_id;
  header.frame_number = wire->frame_number;
  header.timestamp = wire->timestamp;
  // Each product stays below 2^64: the first factors fit in 64 bits and are checked before the next.
  const std::uint64_t plane = std::uint64_t{header.width} * header.height;
  if (plane > kMostPzfPixelBytes || plane * header.depth > kMostPzfPixelBytes ||
      header.size_bytes() > kMostPzfPixelBytes) {
    return Error{std::errc::file_too_large, "frame is larger than 4 GiB"};
  }
  const auto data = file.subspan(wire->data_offset);
  // A code takes at least one bit for each byte: a header cannot ask for memory at will.
  const std::uint64_t coded_bytes = wire->quantized ? header.pixel_count() : header.size_bytes();
  if (coded_bytes > data.size() * (wire->compression == kRaw ? 1u : 8u)) {
    return malformed("frame is cut short");
  }
  frame.pixels.resize(header.size_bytes());
  if (wire->quantized == 0) {
    if (auto done = decode_data(wire->compression, data, frame.pixels); !done) return done.error();
    return frame;
  }
  std::vector<std::uint8_t> quantized(header.pixel_count());
  if (auto done = decode_data(wire->compression, data, quantized); !done) return done.error();
  restore(quantized, {wire->offset, wire->scale}, header.type, frame.pixels);
  return frame;
}

}  // namespace skein
