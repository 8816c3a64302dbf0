#include "core/http_head.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace skein {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool equal_without_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

Error bad(const char* why) { return {std::errc::bad_message, why}; }

Result<int> parse_version(std::string_view version) {
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.') {
    return bad("malformed HTTP version");
  }
  if (version[5] != '1' || (version[7] != '0' && version[7] != '1')) {
    return Error{std::errc::protocol_not_supported, "only HTTP/1.0 and HTTP/1.1 are spoken"};
  }
  return version[7] - '0';
}

bool stays_open(const HttpHead& head, int minor_version) {
  if (head.has_token("Connection", "close")) return false;
  return minor_version == 1 || head.has_token("Connection", "keep-alive");
}

}  // namespace

std::optional<std::string_view> HttpHead::find(std::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (equal_without_case(key, name)) return value;
  }
  return std::nullopt;
}

bool HttpHead::has_token(std::string_view name, std::string_view token) const {
  for (const auto& [key, value] : fields_) {
    if (!equal_without_case(key, name)) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      if (equal_without_case(trim(rest.substr(0, comma)), token)) return true;
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
  }
  return false;
}

Result<void> HttpHead::parse(std::string_view text) {
  text_.assign(text.begin(), text.end());
  fields_.clear();
  std::string_view rest(text_.data(), text_.size());
  bool first = true;
  while (!rest.empty()) {
    const std::size_t end = rest.find("\r\n");
    if (end == std::string_view::npos) return bad("head without its empty line");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    if (has_control(line)) return bad("control character in head");
    if (first) {
      start_line_ = line;
      first = false;
      continue;
    }
    if (line.empty()) return rest.empty() ? Result<void>() : bad("text after the head");
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return bad("header line without a colon");
    if (!is_token(line.substr(0, colon))) return bad("malformed header name");
    if (fields_.size() == kMaxHeaderFields) return bad("more than 100 header fields");
    fields_.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
  }
  return bad("head without its empty line");
}

Result<std::optional<BodyFraming>> HttpHead::declared_framing() const {
  std::optional<BodyFraming> framing;
  bool chunked = false;
  for (const auto& [key, value] : fields_) {
    if (equal_without_case(key, "Transfer-Encoding")) {
      if (!equal_without_case(value, "chunked")) {
        return Error{std::errc::not_supported, "transfer coding other than chunked"};
      }
      if (chunked) return bad("chunked twice");
      chunked = true;
    } else if (equal_without_case(key, "Content-Length")) {
      std::uint64_t length = 0;
      const char* end = value.data() + value.size();
      const auto parsed = std::from_chars(value.data(), end, length);
      if (parsed.ec != std::errc() || parsed.ptr != end) return bad("malformed Content-Length");
      if (framing && framing->length != length) return bad("unequal Content-Length fields");
      framing = BodyFraming{BodyFraming::Kind::kLength, length};
    }
  }
  if (chunked && framing) return bad("both Content-Length and chunked");
  if (chunked) framing = BodyFraming{BodyFraming::Kind::kChunked, 0};
  return framing;
}

Result<RequestHead> RequestHead::parse(std::string_view text) {
  RequestHead head;
  if (auto parsed = head.HttpHead::parse(text); !parsed) return parsed.error();
  const std::string_view line = head.start_line();
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return bad("malformed request line");
  head.method_ = line.substr(0, first);
  head.target_ = line.substr(first + 1, last - first - 1);
  if (!is_token(head.method_) || head.target_.empty() ||
      head.target_.find_first_of(" \t") != std::string_view::npos) {
    return bad("malformed request line");
  }
  const auto version = parse_version(line.substr(last + 1));
  if (!version) return version.error();
  head.minor_version_ = *version;
  const auto framing = head.declared_framing();
  if (!framing) return framing.error();
  if (*framing) head.framing_ = **framing;
  if (head.minor_version_ == 0 && head.framing_.kind == BodyFraming::Kind::kChunked) {
    return bad("chunked body in HTTP/1.0");
  }
  head.keep_alive_ = stays_open(head, head.minor_version_);
  return head;
}

Result<ResponseHead> ResponseHead::parse(std::string_view text, std::string_view method) {
  ResponseHead head;
  if (auto parsed = head.HttpHead::parse(text); !parsed) return parsed.error();
  const std::string_view line = head.start_line();
  const auto version = parse_version(line.substr(0, 8));
  if (!version) return version.error();
  // "HTTP/1.1 200" with or without a reason.
  if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) {
    return bad("malformed status line");
  }
  const auto parsed = std::from_chars(line.data() + 9, line.data() + 12, head.status_);
  if (parsed.ec != std::errc() || parsed.ptr != line.data() + 12 || head.status_ < 100) {
    return bad("malformed status line");
  }
  head.reason_ = line.size() > 13 ? line.substr(13) : std::string_view();
  head.keep_alive_ = stays_open(head, *version);
  const bool bodiless = method == "HEAD" || head.status_ < 200 || head.status_ == 204 ||
                        head.status_ == 304;
  const auto framing = head.declared_framing();
  if (!framing) return framing.error();
  if (!bodiless) {
    head.framing_ = *framing ? **framing : BodyFraming{BodyFraming::Kind::kUntilClose, 0};
    if (head.framing_.kind == BodyFraming::Kind::kUntilClose) head.keep_alive_ = false;
  }
  return head;
}

}  // namespace skein
