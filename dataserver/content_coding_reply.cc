#include "dataserver/content_coding_reply.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "dataserver/field_weights.h"

namespace skein {
namespace {

constexpr int kGzipLevel = 1;
constexpr int kZstdLevel = 1;

Result<std::string> pack_gzip(std::string_view text) {
  z_stream stream{};
  // 15 + 16: the largest window, with a gzip head; 8: zlib's default memory.
  if (deflateInit2(&stream, kGzipLevel, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return Error{std::errc::not_enough_memory, "gzip encoder"};
  }
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int rc = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (rc != Z_STREAM_END) return Error{std::errc::not_enough_memory, "gzip encoder"};
  return packed;
}

Result<std::string> pack_zstd(std::string_view text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  const std::size_t size =
      ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), kZstdLevel);
  if (ZSTD_isError(size)) return Error{std::errc::not_enough_memory, "zstd encoder"};
  packed.resize(size);
  return packed;
}

}  // namespace

Coding choose_coding(const RequestHead& request) {
  const std::string_view list = request.find("Accept-Encoding").value_or(std::string_view());
  const int any = weight_of(list, "*").value_or(0);
  const int zstd = weight_of(list, "zstd").value_or(any);
  const int gzip = weight_of(list, "gzip").value_or(weight_of(list, "x-gzip").value_or(any));
  if (weight_of(list, "identity").value_or(0) > std::max(zstd, gzip)) return Coding::kNone;
  if (zstd > 0 && zstd >= gzip) return Coding::kZstd;
  return gzip > 0 ? Coding::kGzip : Coding::kNone;
}

std::string_view coding_name(Coding coding) { return coding == Coding::kZstd ? "zstd" : "gzip"; }

Result<std::string> pack(std::string_view text, Coding coding) {
  return coding == Coding::kZstd ? pack_zstd(text) : pack_gzip(text);
}

}  // namespace skein
