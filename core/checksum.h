// The checksum that goes with a file: xxh3-64 of its bytes (docs/wire.md, "Checksums"). It finds
// what memory, cable or disk did to them; it is no protection against an attacker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace skein {

// The checksum of `data`; cheaper than a Checksum for what lies in one piece.
std::uint64_t checksum_of(std::span<const char> data);

// The same of bytes that come piece by piece. One thread at a time.
class Checksum {
 public:
  Checksum();
  Checksum(const Checksum& other);
  Checksum(Checksum&& other) noexcept;
  Checksum& operator=(Checksum&& other) noexcept;
  ~Checksum();

  void add(std::span<const char> piece);
  // Of all pieces so far. More may follow.
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The value of a Repr-Digest header: "xxh3-64=:<base64 of the 8 bytes, big-endian>:".
std::string checksum_field(std::uint64_t checksum);

// 16 lower-case hexadecimal digits, as xxh64sum and xxhsum -H3 print it, and back.
std::string checksum_text(std::uint64_t checksum);
std::optional<std::uint64_t> parse_checksum_text(std::string_view text);

}  // namespace skein
