#include "dataserver/get_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>
#include <span>
#include <utility>

#include "client/node_client.h"
#include "core/checksum.h"
#include "core/uuid.h"
#include "dataserver/byte_ranges.h"
#include "dataserver/http_date.h"

namespace skein {
namespace {

std::string_view content_type(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kTypes = {{
      {".json", "application/json"},
      {".txt", "text/plain; charset=utf-8"},
      {".log", "text/plain; charset=utf-8"},
      {".md", "text/plain; charset=utf-8"},
      {".csv", "text/csv; charset=utf-8"},
      {".html", "text/html; charset=utf-8"},
      {".htm", "text/html; charset=utf-8"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".tif", "image/tiff"},
      {".tiff", "image/tiff"},
      {".h5", "application/x-hdf5"},
      {".hdf", "application/x-hdf5"},
  }};
  for (const auto& [ending, type] : kTypes) {
    if (name.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

std::string etag_of(const Found& found, FileKind kind) {
  std::array<char, 64> text{};
  const int length = std::snprintf(text.data(), text.size(), "\"%llx-%llx",
                                   static_cast<unsigned long long>(found.inode),
                                   static_cast<unsigned long long>(found.size_bytes));
  std::string etag(text.data(), static_cast<std::size_t>(length));
  if (kind != FileKind::kGrowing) {
    std::snprintf(text.data(), text.size(), "-%llx",
                  static_cast<unsigned long long>(found.mtime_ns));
    etag += text.data();
  }
  return etag.append(kind == FileKind::kSealed ? "\"" : kGrowingEtagEnd);
}

std::string_view opaque(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  return etag;
}

// No date a client can name is this one's.
constexpr std::int64_t kNoDate = -1;

// A range is honoured only of the version that the client knows (RFC 9110, 13.1.5).
bool range_holds(const RequestHead& request, std::string_view etag, std::int64_t mtime_s) {
  const auto condition = request.find("If-Range");
  if (!condition) return true;
  const auto date = parse_http_date(*condition);
  return date ? *date == mtime_s : *condition == etag;
}

bool not_modified(const RequestHead& request, std::string_view etag, std::int64_t mtime_s) {
  if (request.find("If-None-Match")) return client_has(request, etag);
  const auto since = request.find("If-Modified-Since");
  const auto date = since ? parse_http_date(*since) : std::nullopt;
  return date && mtime_s != kNoDate && mtime_s <= *date;
}

// A part of the file: small ones read into memory, large ones as they are, for sendfile(2).
Result<BodyPart> part_of(int fd, ByteRange range) {
  BodyPart part;
  if (range.length >= kSendfileBytes) {
    part.file = {Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)), range.offset, range.length};
    if (!part.file.fd) return errno_error(errno, "duplicate descriptor");
    return part;
  }
  part.text.resize(range.length);
  std::size_t got = 0;
  while (got < range.length) {
    const ssize_t n = ::pread(fd, part.text.data() + got, range.length - got,
                              static_cast<off_t>(range.offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read");
    if (n == 0) return Error{std::errc::io_error, "file became shorter while it was read"};
    got += static_cast<std::size_t>(n);
  }
  return part;
}

std::string content_range(ByteRange range, std::uint64_t size) {
  return "bytes " + std::to_string(range.offset) + "-" +
         std::to_string(range.offset + range.length - 1) + "/" + std::to_string(size);
}

// RFC 9110, 14.6: each part with a small head of its own.
Result<void> add_parts(Reply& reply, int fd, std::span<const ByteRange> ranges, std::uint64_t size,
                       std::string_view type) {
  const std::string boundary = make_uuid();
  reply.add_field("Content-Type", "multipart/byteranges; boundary=" + boundary);
  std::string between = "--" + boundary;
  for (const ByteRange& range : ranges) {
    BodyPart head;
    head.text.append(between).append("\r\nContent-Type: ").append(type);
    head.text.append("\r\nContent-Range: ").append(content_range(range, size)).append("\r\n\r\n");
    reply.parts.push_back(std::move(head));
    auto part = part_of(fd, range);
    if (!part) return part.error();
    reply.parts.push_back(std::move(*part));
    between = "\r\n--" + boundary;
  }
  BodyPart end;
  end.text = between + "--\r\n";
  reply.parts.push_back(std::move(end));
  return {};
}

// The bytes and the fields that describe them. Precondition: `asked` can be satisfied.
Result<void> add_body(Reply& reply, const FileStore::OpenFile& file, const AskedRanges& asked,
                      std::string_view type) {
  const std::uint64_t size = file.found.size_bytes;
  const int fd = file.fd.get();
  if (asked.parts.size() > 1) {
    reply.status = 206;
    return add_parts(reply, fd, asked.parts, size, type);
  }
  reply.add_field("Content-Type", type);
  ByteRange range{0, size};
  if (!asked.parts.empty()) {
    reply.status = 206;
    range = asked.parts.front();
    reply.add_field("Content-Range", content_range(range, size));
  }
  auto part = part_of(fd, range);
  if (!part) return part.error();
  reply.parts.push_back(std::move(*part));
  return {};
}

}  // namespace

bool client_has(const RequestHead& request, std::string_view etag) {
  std::string_view rest = request.find("If-None-Match").value_or(std::string_view());
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string_view one = rest.substr(0, comma);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one == "*" || opaque(one) == opaque(etag)) return true;
  }
  return false;
}

Reply file_reply(FileStore::OpenFile file, FileKind kind, std::string_view name,
                 const RequestHead& request) {
  const Found& found = file.found;
  const bool grows = kind != FileKind::kSealed;
  const std::int64_t mtime_s = grows ? kNoDate : found.mtime_ns / 1'000'000'000;
  const std::string etag = etag_of(found, kind);
  Reply reply;
  reply.add_field("ETag", etag);
  reply.add_field(grows ? "Cache-Control" : "Last-Modified",
                  grows ? "no-cache" : http_date(mtime_s));
  if (not_modified(request, etag, mtime_s)) {
    reply.status = 304;
    reply.bodiless = true;
    return reply;
  }
  if (file.checksum) reply.add_field("Repr-Digest", checksum_field(*file.checksum));
  AskedRanges asked;
  const auto range = request.find("Range");
  if (range && request.method() == "GET" && range_holds(request, etag, mtime_s)) {
    asked = parse_ranges(*range, found.size_bytes);
  }
  if (asked.kind == AskedRanges::Kind::kUnsatisfiable) {
    const std::string total = std::to_string(found.size_bytes);
    Reply unsatisfiable = refusal(416, "the file has " + total + " bytes");
    unsatisfiable.add_field("Content-Range", "bytes */" + total);
    return unsatisfiable;
  }
  reply.add_field("Accept-Ranges", "bytes");
  const auto added = add_body(reply, file, asked, content_type(name));
  return added ? std::move(reply) : refusal_of(added.error());
}

}  // namespace skein
