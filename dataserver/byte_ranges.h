// The Range field of a request (RFC 9110, 14.1 and 14.2): which bytes of a file are asked for.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace skein {

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // at least 1
  bool operator==(const ByteRange&) const = default;
};

struct AskedRanges {
  enum class Kind { kWhole, kParts, kUnsatisfiable };
  Kind kind = Kind::kWhole;
  std::vector<ByteRange> parts;  // kParts: at least one, in the order they were asked for
};

// Readers of image tiles ask for a few; hundreds are an attack on the reply's length.
inline constexpr std::size_t kMaxRanges = 32;

// What is malformed, in other units, asks for more than kMaxRanges parts, or for more bytes than
// the file has (overlaps), is ignored as the RFC allows: the whole file is a right answer.
AskedRanges parse_ranges(std::string_view text, std::uint64_t size_bytes);

}  // namespace skein
