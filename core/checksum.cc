#include "core/checksum.h"

#include <array>
#include <cassert>
#include <charconv>
#include <new>

#include "core/base64.h"

// Picks the widest instructions of the processor it runs on.
#ifdef __x86_64__
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

namespace skein {

struct Checksum::State {
  State() : xxh3(XXH3_createState()) {
    if (xxh3 == nullptr) throw std::bad_alloc();
    XXH3_64bits_reset(xxh3);
  }
  ~State() { XXH3_freeState(xxh3); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  XXH3_state_t* const xxh3;
};

std::uint64_t checksum_of(std::span<const char> data) {
  return XXH3_64bits(data.data(), data.size());
}

Checksum::Checksum() : state_(std::make_unique<State>()) {}
Checksum::Checksum(const Checksum& other) : Checksum() {
  XXH3_copyState(state_->xxh3, other.state_->xxh3);
}
Checksum::Checksum(Checksum&& other) noexcept = default;
Checksum& Checksum::operator=(Checksum&& other) noexcept = default;
Checksum::~Checksum() = default;

void Checksum::add(std::span<const char> piece) {
  XXH3_64bits_update(state_->xxh3, piece.data(), piece.size());
}

std::uint64_t Checksum::value() const { return XXH3_64bits_digest(state_->xxh3); }

std::string checksum_field(std::uint64_t checksum) {
  std::array<unsigned char, 8> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<unsigned char>(checksum >> (56 - 8 * i));
  }
  return "xxh3-64=:" + base64(bytes) + ":";
}

std::string checksum_text(std::uint64_t checksum) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = kHex[checksum >> (60 - 4 * i) & 15];
  return text;
}

std::optional<std::uint64_t> parse_checksum_text(std::string_view text) {
  std::uint64_t checksum = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, checksum, 16);
  if (text.size() != 16 || stop != end || failure != std::errc()) return std::nullopt;
  return checksum;
}

}  // namespace skein
