#include "streamer/pzf.h"

#include <zstd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

#include "streamer/byte_shuffle.h"
#include "streamer/huffman.h"
#include "streamer/pzf_header.h"

namespace skein {
namespace {

// Level 1 is the fastest that pays: higher ones find nothing more in camera noise.
constexpr int kZstdLevel = 1;

Error malformed(const char* why) { return {std::errc::bad_message, why}; }

void grow(std::vector<std::uint8_t>& buffer, std::size_t size_bytes) {
  if (buffer.size() < size_bytes) buffer.resize(size_bytes);
}

void restore(std::span<const std::uint8_t> quantized, SqrtQuantization by, PixelType type,
             std::span<std::uint8_t> pixels) {
  std::array<float, 256> values;
  for (std::size_t q = 0; q < values.size(); ++q) {
    values[q] = restored(static_cast<std::uint8_t>(q), by);
  }
  for (std::size_t i = 0; i < quantized.size(); ++i) {
    const float value = values[quantized[i]];
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

Result<void> decode_zstd(std::span<const std::uint8_t> data, std::size_t width,
                         std::span<std::uint8_t> out) {
  std::vector<std::uint8_t> planes;
  const bool is_plain = width == 1;
  if (!is_plain) planes.resize(out.size());
  const std::span<std::uint8_t> into = is_plain ? out : std::span(planes);
  const std::size_t got = ZSTD_decompress(into.data(), into.size(), data.data(), data.size());
  if (ZSTD_isError(got)) return malformed("zstd data are damaged");
  if (got != out.size()) return malformed("zstd data hold less than the frame");
  if (!is_plain) unshuffle_bytes(planes, width, out);
  return {};
}

// `width`: bytes of what was coded, a pixel or its quantized byte.
Result<void> decode_data(const WireHeader& wire, std::span<const std::uint8_t> data,
                         std::size_t width, std::span<std::uint8_t> out) {
  switch (wire.compression) {
    case kWireRaw:
      if (!out.empty()) std::memcpy(out.data(), data.data(), out.size());
      return {};
    case kWireHuffman: return huffman_decode(data, out);
    case kWireHuffmanChunks: return decode_chunks(data, out);
    case kWireShuffledZstd: return decode_zstd(data, width, out);
    default: return malformed("unknown compression");
  }
}

Result<void> decode_pixels(const WireHeader& wire, std::span<const std::uint8_t> file,
                           std::span<std::uint8_t> pixels) {
  const auto data = file.subspan(wire.data_offset);
  const PzfHeader header = wire.frame();
  if (wire.quantized == 0) return decode_data(wire, data, pixel_bytes(header.type), pixels);
  std::vector<std::uint8_t> quantized(header.pixel_count());
  if (auto done = decode_data(wire, data, 1, quantized); !done) return done;
  restore(quantized, {wire.offset, wire.scale}, header.type, pixels);
  return {};
}

}  // namespace

std::size_t pixel_bytes(PixelType type) {
  return std::size_t{1} << static_cast<unsigned>(type);  // 1, 2, 4
}

Result<void> check_coding(const PzfHeader& header, const FrameCoding& coding) {
  const auto refuse = [](const char* why) { return Error{std::errc::invalid_argument, why}; };
  if (header.order != 'C' && header.order != 'F') return refuse("order is neither C nor F");
  const std::uint64_t plane = std::uint64_t{header.width} * header.height;
  if (plane == 0 || header.depth == 0) return refuse("a frame without pixels");
  if (plane > kMostPzfPixelBytes || plane * header.depth > kMostPzfPixelBytes ||
      header.size_bytes() > kMostPzfPixelBytes) {
    return refuse("a frame of more than 4 GiB");
  }
  if (!coding.quantization) return {};
  // PYME's reader cannot read quantized data that is not coded.
  if (coding.codec == FrameCodec::kRaw) return refuse("quantization does not go with raw frames");
  if (header.type != PixelType::kUint16) return refuse("only uint16 can be quantized");
  const SqrtQuantization& by = *coding.quantization;
  if (!(by.offset >= 0) || !(by.scale >= 0.001F && by.scale <= 100.0F)) {
    return refuse("quantization needs offset >= 0 and scale from 0.001 to 100");
  }
  return {};
}

std::array<std::uint8_t, kPzfHeaderBytes> raw_pzf_header(const PzfHeader& header) {
  const WireHeader wire = make_wire_header(header, {});
  std::array<std::uint8_t, kPzfHeaderBytes> bytes;
  std::memcpy(bytes.data(), &wire, sizeof wire);
  return bytes;
}

// The library's working memory, kept from frame to frame: it is over a megabyte.
class FrameEncoder::Zstd {
 public:
  Zstd() : context_(ZSTD_createCCtx()) {
    if (context_ == nullptr) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
  }
  ~Zstd() { ZSTD_freeCCtx(context_); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  std::size_t compress(std::span<const std::uint8_t> data, std::span<std::uint8_t> out) {
    const std::size_t size =
        ZSTD_compress2(context_, out.data(), out.size(), data.data(), data.size());
    assert(!ZSTD_isError(size));  // `out` has the room that the library asks for
    return size;
  }

 private:
  ZSTD_CCtx* const context_;
};

FrameEncoder::FrameEncoder(FrameCoding coding)
    : coding_(std::move(coding)),
      zstd_(coding_.codec == FrameCodec::kZstd ? std::make_unique<Zstd>() : nullptr) {}

FrameEncoder::~FrameEncoder() = default;

Result<std::span<const std::uint8_t>> FrameEncoder::encode(const PzfHeader& header,
                                                           std::span<const std::uint8_t> pixels) {
  assert(pixels.size() == header.size_bytes());
  if (auto checked = check_coding(header, coding_); !checked) return checked.error();
  std::size_t width = pixel_bytes(header.type);
  if (coding_.quantization) {
    grow(rewritten_, header.pixel_count());
    const auto quantized = std::span(rewritten_).first(header.pixel_count());
    quantize(pixels, *coding_.quantization, quantized);
    pixels = quantized;
    width = 1;
  }
  std::size_t coded_bytes = pixels.size();
  if (coding_.codec == FrameCodec::kRaw) {
    grow(file_, kPzfHeaderBytes + pixels.size());
    std::memcpy(file_.data() + kPzfHeaderBytes, pixels.data(), pixels.size());
  } else if (coding_.codec == FrameCodec::kHuffman) {
    grow(file_, kPzfHeaderBytes + huffman_bound(pixels.size()));
    coded_bytes = huffman_encode(pixels, std::span(file_).subspan(kPzfHeaderBytes));
  } else {
    if (width > 1) {
      grow(rewritten_, pixels.size());
      const auto planes = std::span(rewritten_).first(pixels.size());
      shuffle_bytes(pixels, width, planes);
      pixels = planes;
    }
    grow(file_, kPzfHeaderBytes + ZSTD_compressBound(pixels.size()));
    coded_bytes = zstd_->compress(pixels, std::span(file_).subspan(kPzfHeaderBytes));
  }
  const WireHeader wire = make_wire_header(header, coding_);
  std::memcpy(file_.data(), &wire, sizeof wire);
  return std::span<const std::uint8_t>(file_).first(kPzfHeaderBytes + coded_bytes);
}

Result<PzfHeader> read_frame_header(std::span<const std::uint8_t> file) {
  const auto wire = read_wire_header(file);
  if (!wire) return wire.error();
  return wire->frame();
}

Result<void> decode_frame(std::span<const std::uint8_t> file, std::span<std::uint8_t> pixels) {
  const auto wire = read_wire_header(file);
  if (!wire) return wire.error();
  assert(pixels.size() == wire->frame().size_bytes());
  return decode_pixels(*wire, file, pixels);
}

Result<PzfFrame> decode_frame(std::span<const std::uint8_t> file) {
  const auto wire = read_wire_header(file);
  if (!wire) return wire.error();
  PzfFrame frame{wire->frame(), {}};
  frame.pixels.resize(frame.header.size_bytes());
  if (auto done = decode_pixels(*wire, file, frame.pixels); !done) return done.error();
  return frame;
}

}  // namespace skein
