#include "dataserver/get_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>

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

std::string etag_of(const Found& found) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "\"%llx-%llx-%llx\"",
                static_cast<unsigned long long>(found.inode),
                static_cast<unsigned long long>(found.size_bytes),
                static_cast<unsigned long long>(found.mtime_ns));
  return text.data();
}

std::string_view opaque(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  return etag;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

struct Range {
  enum class Kind { kWhole, kPart, kUnsatisfiable };
  Kind kind = Kind::kWhole;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// RFC 9110, 14.1.2. What is malformed, in other units, or asks for several ranges is ignored, as
// the RFC allows: the whole file is a right answer.
Range parse_range(std::string_view text, std::uint64_t size) {
  if (!text.starts_with("bytes=")) return {};
  text.remove_prefix(6);
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos || text.find(',') != std::string_view::npos) return {};
  const std::string_view first_text = text.substr(0, dash);
  const std::string_view last_text = text.substr(dash + 1);
  const auto first = number(first_text);
  const auto last = number(last_text);
  if (first_text.empty()) {
    if (!last) return {};
    const std::uint64_t length = std::min(*last, size);
    if (length == 0) return {Range::Kind::kUnsatisfiable, 0, 0};
    return {Range::Kind::kPart, size - length, length};
  }
  if (!first || (!last && !last_text.empty()) || (last && *last < *first)) return {};
  if (*first >= size) return {Range::Kind::kUnsatisfiable, 0, 0};
  const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return {Range::Kind::kPart, *first, end - *first + 1};
}

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
  return date && mtime_s <= *date;
}

// Reads small bodies into the reply, hands large ones over as they are.
Result<void> fill_body(Reply& reply, Fd fd, std::uint64_t offset, std::uint64_t length) {
  if (length >= kSendfileBytes) {
    reply.file = {std::move(fd), offset, length};
    return {};
  }
  reply.text.resize(length);
  std::size_t got = 0;
  while (got < length) {
    const ssize_t n = ::pread(fd.get(), reply.text.data() + got, length - got,
                              static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read");
    if (n == 0) return Error{std::errc::io_error, "file became shorter while it was read"};
    got += static_cast<std::size_t>(n);
  }
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

Reply file_reply(FileStore::OpenFile file, std::string_view name, const RequestHead& request) {
  const Found& found = file.found;
  const std::int64_t mtime_s = found.mtime_ns / 1'000'000'000;
  const std::string etag = etag_of(found);
  Reply reply;
  reply.add_field("ETag", etag);
  reply.add_field("Last-Modified", http_date(mtime_s));
  if (not_modified(request, etag, mtime_s)) {
    reply.status = 304;
    reply.bodiless = true;
    return reply;
  }
  Range range;
  const auto asked = request.find("Range");
  if (asked && request.method() == "GET" && range_holds(request, etag, mtime_s)) {
    range = parse_range(*asked, found.size_bytes);
  }
  const std::string total = std::to_string(found.size_bytes);
  if (range.kind == Range::Kind::kUnsatisfiable) {
    Reply unsatisfiable = refusal(416, "the file has " + total + " bytes");
    unsatisfiable.add_field("Content-Range", "bytes */" + total);
    return unsatisfiable;
  }
  reply.add_field("Accept-Ranges", "bytes");
  reply.add_field("Content-Type", content_type(name));
  std::uint64_t length = found.size_bytes;
  if (range.kind == Range::Kind::kPart) {
    reply.status = 206;
    length = range.length;
    reply.add_field("Content-Range", "bytes " + std::to_string(range.offset) + "-" +
                                         std::to_string(range.offset + length - 1) + "/" + total);
  }
  auto filled = fill_body(reply, std::move(file.fd), range.offset, length);
  if (!filled) return refusal_of(filled.error());
  return reply;
}

}  // namespace skein
