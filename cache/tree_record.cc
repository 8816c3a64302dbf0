#include "cache/tree_record.h"

#include <algorithm>
#include <cassert>

#include "core/path.h"

namespace skein {
namespace {

constexpr std::size_t kMostNamesInPiece = 1024;  // when hash after hash happens to begin none
constexpr std::uint32_t kPieceMask = 127;        // one name in 128 begins a piece

void put_varint(std::string& out, std::uint64_t n) {
  for (; n >= 0x80; n >>= 7) out += static_cast<char>((n & 0x7f) | 0x80);
  out += static_cast<char>(n);
}

void put_signed(std::string& out, std::int64_t n) {
  put_varint(out, (static_cast<std::uint64_t>(n) << 1) ^ static_cast<std::uint64_t>(n >> 63));
}

// Takes values off the front of `left`; `sound` turns false for good when they do not fit.
struct Reader {
  std::string_view left;
  bool sound = true;

  std::uint64_t varint() {
    std::uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (left.empty()) break;
      const auto byte = static_cast<unsigned char>(left.front());
      left.remove_prefix(1);
      n |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return n;
    }
    sound = false;
    return 0;
  }
  std::int64_t signed_number() {
    const std::uint64_t n = varint();
    return static_cast<std::int64_t>((n >> 1) ^ (~(n & 1) + 1));
  }
  std::string_view bytes(std::uint64_t count) {
    if (count > left.size()) {
      sound = false;
      count = 0;
    }
    const std::string_view taken = left.substr(0, count);
    left.remove_prefix(count);
    return taken;
  }
};

// FNV-1a with a final mix, as its low bits alone follow the last character too closely.
std::uint32_t hash(std::string_view name) {
  std::uint64_t h = 14695981039346656037u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return static_cast<std::uint32_t>(h ^ (h >> 32) ^ (h >> 17));
}

}  // namespace

std::string number_key(std::uint64_t number) {
  std::string key(8, '\0');
  for (std::size_t i = 8; i-- > 0; number >>= 8) key[i] = static_cast<char>(number);
  return key;
}

std::uint64_t number_of(std::string_view key) {
  assert(key.size() >= 8);
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<unsigned char>(key[i]);
  return number;
}

std::string name_key(Inode directory, std::string_view name) {
  return number_key(directory).append(name);
}

std::string piece_key(Inode directory, std::uint16_t slot, std::string_view first_name) {
  std::string key = number_key(directory);
  key += static_cast<char>(slot >> 8);
  key += static_cast<char>(slot);
  return key.append(first_name);
}

std::string encode(const NameRecord& record) {
  std::string value;
  put_varint(value, record.entry.inode);
  put_varint(value, std::uint64_t{record.entry.entry.type} << 1 | (record.unconfirmed ? 1 : 0));
  put_signed(value, record.entry.entry.size);
  put_signed(value, record.entry.seen_s);
  return value;
}

std::string encode(const Tree::Place& place) {
  return number_key(place.parent).append(place.name);
}

std::string encode_number(std::uint64_t number) {
  std::string value;
  put_varint(value, number);
  return value;
}

std::string encode(const ShareIndex& index) {
  std::string value = encode_number(index.version);
  for (const auto& [node_key, head] : index.heads) {
    put_varint(value, head.slot);
    put_varint(value, node_key.size());
    value.append(node_key);
    put_varint(value, head.etag.size());
    value.append(head.etag);
  }
  return value;
}

std::optional<NameRecord> decode_name(std::string_view value) {
  Reader reader{value};
  NameRecord record;
  record.entry.inode = reader.varint();
  const std::uint64_t type = reader.varint();
  record.entry.entry.type = static_cast<std::uint32_t>(type >> 1);
  record.unconfirmed = (type & 1) != 0;
  record.entry.entry.size = reader.signed_number();
  record.entry.seen_s = reader.signed_number();
  if (!reader.sound || !reader.left.empty() || type >> 33 != 0) return std::nullopt;
  return record;
}

std::optional<Tree::Place> decode_place(std::string_view value) {
  if (value.size() <= 8) return std::nullopt;
  return Tree::Place{number_of(value), std::string(value.substr(8))};
}

std::optional<std::uint64_t> decode_number(std::string_view value) {
  Reader reader{value};
  const std::uint64_t number = reader.varint();
  if (!reader.sound || !reader.left.empty()) return std::nullopt;
  return number;
}

std::optional<ShareIndex> decode_share_index(std::string_view value) {
  Reader reader{value};
  ShareIndex index;
  index.version = reader.varint();
  while (reader.sound && !reader.left.empty()) {
    const std::uint64_t slot = reader.varint();
    const std::string node_key(reader.bytes(reader.varint()));
    const std::string_view etag = reader.bytes(reader.varint());
    if (slot > UINT16_MAX) return std::nullopt;
    index.heads[node_key] = {static_cast<std::uint16_t>(slot), std::string(etag)};
  }
  if (!reader.sound) return std::nullopt;
  return index;
}

std::vector<ListingPiece> cut_listing(const Listing& listing) {
  std::vector<ListingPiece> pieces;
  std::string_view before;
  std::size_t count = 0;
  for (const NamedEntry& next : listing.entries()) {
    if (next.name.empty() || next.name.size() > kMaxNameBytes) continue;
    // A name that stands twice, as file and directory, must not begin two pieces of one key.
    const bool begins = (hash(next.name) & kPieceMask) == 0 || count >= kMostNamesInPiece;
    if (pieces.empty() || (begins && next.name != before)) {
      pieces.push_back({next.name, {}});
      before = {};
      count = 0;
    }
    std::string& bytes = pieces.back().bytes;
    const std::string_view name = next.name;
    const auto differ = std::mismatch(before.begin(), before.end(), name.begin(), name.end());
    const auto shared = static_cast<std::size_t>(differ.second - name.begin());
    put_varint(bytes, shared);
    put_varint(bytes, name.size() - shared);
    bytes.append(name.substr(shared));
    put_varint(bytes, next.entry.type);
    put_signed(bytes, next.entry.size);
    before = name;
    ++count;
  }
  return pieces;
}

bool append_piece(std::string_view bytes, std::vector<NamedEntry>& entries) {
  Reader reader{bytes};
  std::string name;
  while (!reader.left.empty()) {
    const std::uint64_t shared = reader.varint();
    if (shared > name.size()) return false;
    name.resize(shared);
    name.append(reader.bytes(reader.varint()));
    NamedEntry next{name, {}};
    next.entry.type = static_cast<std::uint32_t>(reader.varint());
    next.entry.size = reader.signed_number();
    if (!reader.sound || name.empty()) return false;
    entries.push_back(std::move(next));
  }
  return true;
}

}  // namespace skein
