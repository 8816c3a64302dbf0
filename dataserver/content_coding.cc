#include "dataserver/content_coding.h"

#include <zlib.h>
#include <zstd.h>

#include <vector>

namespace skein {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;
// Largest window a zstd frame may ask for: 8 MiB, what RFC 8878 tells decoders to support.
constexpr int kMaxWindowLog = 23;

Error malformed(const char* coding) {
  return {std::errc::bad_message, std::string("malformed ") + coding + " body"};
}

class GzipDecoder final : public Decoder {
 public:
  GzipDecoder() : ready_(inflateInit2(&stream_, 15 + 16) == Z_OK), piece_(kPieceBytes) {}
  ~GzipDecoder() override { inflateEnd(&stream_); }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;

  Result<void> take(std::span<const char> piece, const Give& give) override {
    if (!ready_) return Error{std::errc::not_enough_memory, "gzip decoder"};
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    stream_.avail_in = static_cast<uInt>(piece.size());
    bool output_full = false;
    while (stream_.avail_in > 0 || output_full) {
      // A gzip file may be several members, one after another (RFC 1952, 2.2).
      if (ended_ && inflateReset(&stream_) != Z_OK) return malformed("gzip");
      ended_ = false;
      stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
      stream_.avail_out = static_cast<uInt>(piece_.size());
      const int rc = inflate(&stream_, Z_NO_FLUSH);
      if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) return malformed("gzip");
      const std::size_t made = piece_.size() - stream_.avail_out;
      if (made > 0) {
        if (auto given = give(std::span(piece_).first(made)); !given) return given;
      }
      ended_ = rc == Z_STREAM_END;
      output_full = !ended_ && stream_.avail_out == 0;
      if (rc == Z_BUF_ERROR && made == 0 && !output_full) break;
    }
    return {};
  }
  bool complete() const override { return ended_; }

 private:
  z_stream stream_{};
  bool ready_;
  bool ended_ = false;
  std::vector<char> piece_;
};

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx(), &ZSTD_freeDCtx), piece_(kPieceBytes) {
    if (context_) ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

  Result<void> take(std::span<const char> piece, const Give& give) override {
    if (!context_) return Error{std::errc::not_enough_memory, "zstd decoder"};
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    bool output_full = false;
    while (in.pos < in.size || output_full) {
      ZSTD_outBuffer out{piece_.data(), piece_.size(), 0};
      const std::size_t rc = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(rc)) return malformed("zstd");
      if (out.pos > 0) {
        if (auto given = give(std::span(piece_).first(out.pos)); !given) return given;
      }
      ended_ = rc == 0;
      output_full = !ended_ && out.pos == out.size;
    }
    return {};
  }
  bool complete() const override { return ended_; }

 private:
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_;
  bool ended_ = false;
  std::vector<char> piece_;
};

}  // namespace

std::unique_ptr<Decoder> make_decoder(std::string_view coding) {
  if (coding == "gzip" || coding == "x-gzip") return std::make_unique<GzipDecoder>();
  if (coding == "zstd") return std::make_unique<ZstdDecoder>();
  return nullptr;
}

}  // namespace skein
