// What a message says about the bytes it carries: the digests of its Repr-Digest and Content-Digest
// fields (RFC 9530), and the check of the bytes against them.
//
// Both fields are taken to speak of the body as it travels: a Repr-Digest beside a Content-Encoding
// is that of the coded bytes, as RFC 9530 has it, and Skein takes and gives whole representations
// only, so that the two fields mean the same. Known: xxh3-64 (core/checksum.h), sha-256; others are
// passed over. A field that cannot be read is an error: its sender counts on the check.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "core/checksum.h"
#include "core/error.h"
#include "core/http_head.h"

namespace skein {

struct Digests {
  std::optional<std::uint64_t> xxh3;
  std::optional<std::array<unsigned char, 32>> sha256;

  bool any() const { return xxh3 || sha256; }
};

// Errors: bad_message (a malformed field, or two that contradict each other).
Result<Digests> digests_of(const HttpHead& head);

// Goes along with the bytes. One thread at a time.
class DigestCheck {
 public:
  explicit DigestCheck(const Digests& expected);
  DigestCheck(DigestCheck&& other) noexcept;
  DigestCheck& operator=(DigestCheck&& other) noexcept;
  ~DigestCheck();

  void add(std::span<const char> piece);
  // After the last piece. Errors: illegal_byte_sequence (the bytes are others), with both digests.
  Result<void> verdict();
  // The xxh3-64 of all pieces so far, expected or not.
  std::uint64_t xxh3() const { return xxh3_.value(); }

 private:
  struct Sha256;

  Digests expected_;
  Checksum xxh3_;
  std::unique_ptr<Sha256> sha256_;
};

}  // namespace skein
