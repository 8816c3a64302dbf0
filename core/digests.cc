#include "core/digests.h"

#include <nettle/sha2.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base64.h"

namespace skein {
namespace {

// How far the member of a dictionary reaches (RFC 8941, section 3.2): up to a comma outside quotes.
std::size_t member_bytes(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == ',' && !quoted) {
      return i;
    }
  }
  return text.size();
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

// The bytes of ":<base64>:", with or without parameters behind it.
std::optional<std::vector<unsigned char>> byte_sequence(std::string_view value) {
  if (!value.starts_with(':')) return std::nullopt;
  value.remove_prefix(1);
  const std::size_t end = value.find(':');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view rest = trimmed(value.substr(end + 1));
  if (!rest.empty() && !rest.starts_with(';')) return std::nullopt;
  return parse_base64(value.substr(0, end));
}

template <typename T>
Result<void> note(std::optional<T>& known, const T& found) {
  if (known && *known != found) return Error{std::errc::bad_message, "two digests contradict each other"};
  known = found;
  return {};
}

Result<void> take_member(std::string_view member, Digests& digests) {
  const std::size_t equals = member.find('=');
  const std::string key(member.substr(0, equals));
  const std::size_t size = key == "xxh3-64" ? 8 : key == "sha-256" ? 32 : 0;
  if (size == 0) return {};
  const auto bytes = equals == std::string_view::npos
                         ? std::nullopt
                         : byte_sequence(member.substr(equals + 1));
  if (!bytes || bytes->size() != size) {
    return Error{std::errc::bad_message,
                 "the digest " + key + " is not " + std::to_string(size) + " bytes as :base64:"};
  }
  if (key == "xxh3-64") {
    std::uint64_t value = 0;
    for (const unsigned char byte : *bytes) value = value << 8 | byte;
    return note(digests.xxh3, value);
  }
  std::array<unsigned char, 32> value{};
  std::copy(bytes->begin(), bytes->end(), value.begin());
  return note(digests.sha256, value);
}

Result<void> take_field(std::string_view field, Digests& digests) {
  while (!field.empty()) {
    const std::size_t length = member_bytes(field);
    const std::string_view member = trimmed(field.substr(0, length));
    if (member.empty()) return Error{std::errc::bad_message, "a digest field has an empty member"};
    if (auto taken = take_member(member, digests); !taken) return taken;
    field.remove_prefix(std::min(field.size(), length + 1));
  }
  return {};
}

bool same_name(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(), [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? x - 'A' + 'a' : x) == y;
  });
}

}  // namespace

Result<Digests> digests_of(const HttpHead& head) {
  Digests digests;
  for (const auto& [name, value] : head.fields()) {
    if (!same_name(name, "repr-digest") && !same_name(name, "content-digest")) continue;
    if (auto taken = take_field(value, digests); !taken) return taken.error();
  }
  return digests;
}

struct DigestCheck::Sha256 {
  Sha256() { sha256_init(&context); }
  sha256_ctx context{};
};

DigestCheck::DigestCheck(const Digests& expected) : expected_(expected) {
  if (expected_.sha256) sha256_ = std::make_unique<Sha256>();
}

DigestCheck::DigestCheck(DigestCheck&& other) noexcept = default;
DigestCheck& DigestCheck::operator=(DigestCheck&& other) noexcept = default;
DigestCheck::~DigestCheck() = default;

void DigestCheck::add(std::span<const char> piece) {
  xxh3_.add(piece);
  if (!sha256_) return;
  sha256_update(&sha256_->context, piece.size(),
                reinterpret_cast<const std::uint8_t*>(piece.data()));
}

Result<void> DigestCheck::verdict() {
  const auto differ = [](const std::string& announced, const std::string& found) {
    return Error{std::errc::illegal_byte_sequence, "the bytes that came are not those announced: " +
                                                       announced + " announced, " + found +
                                                       " received"};
  };
  if (expected_.xxh3 && *expected_.xxh3 != xxh3()) {
    return differ(checksum_field(*expected_.xxh3), checksum_field(xxh3()));
  }
  if (!sha256_) return {};
  std::array<unsigned char, 32> found{};
  sha256_digest(&sha256_->context, found.size(), found.data());
  if (found == *expected_.sha256) return {};
  return differ("sha-256=:" + base64(*expected_.sha256) + ":", "sha-256=:" + base64(found) + ":");
}

}  // namespace skein
