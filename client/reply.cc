#include "client/reply.h"

#include <charconv>

#include "core/digests.h"
#include "core/http_date.h"

namespace skein {
namespace {

std::errc code_of(int status) {
  switch (status) {
    case 400:
    case 414:
      return std::errc::invalid_argument;
    case 301:
      return std::errc::is_a_directory;
    case 403:
      return std::errc::permission_denied;
    case 404:
      return std::errc::no_such_file_or_directory;
    case 405:
      return std::errc::file_exists;
    case 413:
      return std::errc::file_too_large;
    case 507:
      return std::errc::no_space_on_device;
    default:
      return status >= 500 ? std::errc::io_error : std::errc::bad_message;
  }
}

// A number of digits at the front of `text`, taken off.
template <typename Number>
std::optional<Number> take_number(std::string_view& text) {
  Number value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

}  // namespace

Error status_error(const ResponseHead& head, const std::string& what) {
  const std::string status = std::to_string(head.status()) + " " + std::string(head.reason());
  const std::errc code = code_of(head.status());
  if (code == std::errc::bad_message) return {code, what + ": unexpected reply " + status};
  return {code, what + ": " + std::make_error_code(code).message() + " (" + status + ")"};
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  ContentRange range;
  if (!take(text, "bytes ")) return {};
  const auto first = take_number<std::uint64_t>(text);
  if (!first || !take(text, "-")) return {};
  const auto last = take_number<std::uint64_t>(text);
  if (!last || *last < *first || !take(text, "/")) return {};
  range.first = *first;
  if (text == "*") return range;
  range.size_bytes = take_number<std::uint64_t>(text);
  if (!range.size_bytes || !text.empty() || *range.size_bytes <= *last) return {};
  return range;
}

Result<std::optional<NodeListing>> listing_of(const ResponseHead& head, const std::string& what) {
  NodeListing listing;
  listing.etag = head.find("ETag").value_or("");
  switch (head.status()) {
    case 304:
      listing.unchanged = true;
      return std::optional(std::move(listing));
    case 404:
      return std::optional<NodeListing>();
    case 200:
      return std::optional(std::move(listing));
    default:
      return status_error(head, what);
  }
}

Result<std::optional<FileInfo>> info_of(const ResponseHead& head, const std::string& what) {
  FileInfo info;
  if (head.status() == 404) return std::optional<FileInfo>();
  if (head.status() == 301) {
    const std::string_view to = head.find("Location").value_or("");
    if (!to.substr(0, to.find('?')).ends_with('/')) {
      return Error{std::errc::bad_message, what + ": redirected elsewhere"};
    }
    info.is_directory = true;
    return std::optional(info);
  }
  if (head.status() != 200) return status_error(head, what);
  std::string_view length = head.find("Content-Length").value_or("");
  const auto size = take_number<std::uint64_t>(length);
  if (!size || !length.empty()) {
    return Error{std::errc::bad_message, what + ": reply without the file's size"};
  }
  info.size_bytes = *size;
  info.mtime_s = parse_http_date(head.find("Last-Modified").value_or("")).value_or(0);
  info.etag = head.find("ETag").value_or("");
  // One that cannot be read is as good as none: the bytes are not asked for here.
  if (const auto digests = digests_of(head)) info.checksum = digests->xxh3;
  return std::optional(std::move(info));
}

}  // namespace skein
