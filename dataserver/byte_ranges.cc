#include "dataserver/byte_ranges.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace skein {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// "5-9", "5-" or "-5". nullopt: malformed. A length of 0: nothing of the file is in it.
std::optional<ByteRange> parse_one(std::string_view text, std::uint64_t size) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view first_text = text.substr(0, dash);
  const std::string_view last_text = text.substr(dash + 1);
  const auto first = number(first_text);
  const auto last = number(last_text);
  if (first_text.empty()) {
    if (!last) return std::nullopt;
    const std::uint64_t length = std::min(*last, size);
    return ByteRange{size - length, length};
  }
  if (!first || (!last && !last_text.empty()) || (last && *last < *first)) return std::nullopt;
  if (*first >= size) return ByteRange{};
  const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return ByteRange{*first, end - *first + 1};
}

}  // namespace

AskedRanges parse_ranges(std::string_view text, std::uint64_t size_bytes) {
  if (!text.starts_with("bytes=")) return {};
  text.remove_prefix(6);
  AskedRanges asked{AskedRanges::Kind::kParts, {}};
  std::size_t named = 0;
  std::uint64_t left = size_bytes;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view one = trim(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    if (one.empty()) continue;  // RFC 9110, 5.6.1: empty elements of a list do not count
    const auto range = parse_one(one, size_bytes);
    if (!range || ++named > kMaxRanges || range->length > left) return {};
    left -= range->length;
    if (range->length > 0) asked.parts.push_back(*range);
  }
  if (named == 0) return {};
  if (asked.parts.empty()) asked.kind = AskedRanges::Kind::kUnsatisfiable;
  return asked;
}

}  // namespace skein
