#include "aggregate/pickle_codec.h"

#include <charconv>
#include <cstdint>
#include <cstdio>

namespace skein {
namespace {

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | ((c >> 18) & 7));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

}  // namespace

std::optional<std::string> latin1_of_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      out += text[i];
      continue;
    }
    if ((c != 0xc2 && c != 0xc3) || i + 1 == text.size()) return std::nullopt;
    const auto next = static_cast<unsigned char>(text[++i]);
    if (next < 0x80 || next > 0xbf) return std::nullopt;
    out += static_cast<char>(((c & 3) << 6) | (next & 0x3f));
  }
  return out;
}

std::string utf8_of_raw_unicode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t digits = text.substr(i).starts_with("\\u")   ? 4
                               : text.substr(i).starts_with("\\U") ? 8
                                                                   : 0;
    std::uint32_t code = static_cast<unsigned char>(text[i]);
    if (digits > 0 && text.size() - i - 2 >= digits) {
      const char* from = text.data() + i + 2;
      std::uint32_t value = 0;
      const auto [end, failure] = std::from_chars(from, from + digits, value, 16);
      if (failure == std::errc() && end == from + digits) {
        code = value;
        i += 1 + digits;
      }
    }
    append_utf8(out, code);
  }
  return out;
}

void append_raw_unicode(std::string& out, std::string_view utf8) {
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto c = static_cast<unsigned char>(utf8[i]);
    const std::size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    std::uint32_t code = more == 0 ? c : c & (0x3fU >> more);
    for (std::size_t k = 0; k < more && i + 1 < utf8.size(); ++k) {
      code = code << 6 | (static_cast<unsigned char>(utf8[++i]) & 0x3f);
    }
    if (code >= 0x20 && code < 0x7f && code != '\\') {
      out += static_cast<char>(code);
      continue;
    }
    char text[16];
    std::snprintf(text, sizeof text, code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
    out += text;
  }
}

}  // namespace skein
