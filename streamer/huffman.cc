#include "streamer/huffman.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <vector>

#include "streamer/huffman_tree.h"

namespace skein {
namespace {

// The tree takes at most 256 leaves of 9 bits and 255 inner nodes of 1 bit.
constexpr std::size_t kMostTreeBytes = 320;

std::uint64_t big_endian(std::uint64_t word) {
  return std::endian::native == std::endian::big ? word : __builtin_bswap64(word);
}

// Appends bits to memory, most significant first. At most 56 bits at a time; writes up to eight
// bytes beyond the end of what was appended.
class BitWriter {
 public:
  explicit BitWriter(std::uint8_t* out) : begin_(out), out_(out) {}

  void put(std::uint64_t bits, unsigned length) {
    pending_ |= bits << (64 - used_ - length);
    used_ += length;
    const std::uint64_t word = big_endian(pending_);
    std::memcpy(out_, &word, sizeof word);
    out_ += used_ >> 3;
    pending_ <<= used_ & 56;
    used_ &= 7;
  }

  // Bytes so far, the last one padded with zeros.
  std::size_t finish() { return static_cast<std::size_t>(out_ - begin_) + (used_ > 0 ? 1 : 0); }

 private:
  std::uint8_t* const begin_;
  std::uint8_t* out_;
  std::uint64_t pending_ = 0;  // left-aligned; its first used_ (< 8) bits are valid
  unsigned used_ = 0;
};

void put_tree(const HuffmanTree& tree, int at, BitWriter& out) {
  const HuffmanTree::Node& node = tree.nodes[static_cast<std::size_t>(at)];
  if (node.is_leaf()) {
    out.put(0x100u | node.symbol, 9);
    return;
  }
  out.put(0, 1);
  put_tree(tree, node.child[0], out);
  put_tree(tree, node.child[1], out);
}

Histogram count_symbols(std::span<const std::uint8_t> data) {
  // Four tables: a run of equal bytes would wait for its own last increment in one.
  std::vector<std::array<std::uint32_t, 256>> tables(4);
  Histogram histogram{};
  constexpr std::size_t kSpan = std::size_t{1} << 30;  // below the counters' range
  while (!data.empty()) {
    const auto part = data.first(std::min(data.size(), kSpan));
    for (auto& table : tables) table.fill(0);
    std::size_t i = 0;
    for (; i + 8 <= part.size(); i += 8) {
      std::uint64_t word;
      std::memcpy(&word, part.data() + i, sizeof word);
      for (unsigned k = 0; k < 8; ++k) ++tables[k & 3][word >> (8 * k) & 255];
    }
    for (; i < part.size(); ++i) ++tables[0][part[i]];
    for (const auto& table : tables) {
      for (std::size_t s = 0; s < 256; ++s) histogram[s] += table[s];
    }
    data = data.subspan(part.size());
  }
  return histogram;
}

using Codes = std::array<HuffmanTree::Code, 256>;

// Below this the table of pairs costs more than it saves (65,536 entries are made for each frame).
constexpr std::size_t kPairTableBytes = 256 * 1024;

// Codes of all pairs of bytes, in memory order: bits << 8 | length. Pairs that do not occur are made
// too; they are zero and never looked up.
std::vector<std::uint64_t> pair_codes(const Codes& codes) {
  std::vector<std::uint64_t> pairs(65536);
  for (unsigned second = 0; second < 256; ++second) {
    const auto b = codes[second];
    if (b.length == 0) continue;
    for (unsigned first = 0; first < 256; ++first) {
      const auto a = codes[first];
      const std::uint64_t bits = std::uint64_t{a.bits} << b.length | b.bits;
      pairs[second << 8 | first] = bits << 8 | static_cast<unsigned>(a.length + b.length);
    }
  }
  return pairs;
}

void put_pairs(std::span<const std::uint8_t> data, const Codes& codes, BitWriter& out) {
  const std::vector<std::uint64_t> pairs = pair_codes(codes);
  const std::uint64_t* const table = pairs.data();
  std::size_t i = 0;
  for (; i + 8 <= data.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, data.data() + i, sizeof word);
    const std::uint64_t a = table[word & 0xffff];
    const std::uint64_t b = table[word >> 16 & 0xffff];
    const std::uint64_t c = table[word >> 32 & 0xffff];
    const std::uint64_t d = table[word >> 48];
    const auto ab = static_cast<unsigned>((a & 255) + (b & 255));
    const auto cd = static_cast<unsigned>((c & 255) + (d & 255));
    if (ab <= 56 && cd <= 56) {
      out.put(a >> 8 << (b & 255) | b >> 8, ab);
      out.put(c >> 8 << (d & 255) | d >> 8, cd);
    } else {
      for (const std::uint64_t pair : {a, b, c, d}) {
        out.put(pair >> 8, static_cast<unsigned>(pair & 255));
      }
    }
  }
  for (; i < data.size(); ++i) out.put(codes[data[i]].bits, codes[data[i]].length);
}

}  // namespace

std::size_t huffman_bound(std::size_t size_bytes) {
  // A Huffman code averages at most eight bits. A flattened one is longer by well under a percent:
  // counts are flattened only while a code exceeds 24 bits, which takes 196,418 bytes at least (the
  // 26th Fibonacci number), and flattening adds at most 512 to their sum.
  return size_bytes + size_bytes / 4 + kMostTreeBytes + 16;
}

std::size_t huffman_encode(std::span<const std::uint8_t> data, std::span<std::uint8_t> out) {
  assert(out.size() >= huffman_bound(data.size()));
  if (data.empty()) return 0;
  const HuffmanTree tree = HuffmanTree::of(count_symbols(data));
  BitWriter writer(out.data());
  put_tree(tree, tree.root, writer);
  if (tree.count == 1) {
    // PYME writes one 0 bit for each byte of a lone symbol.
    for (std::size_t left = data.size(); left > 0;) {
      const auto n = static_cast<unsigned>(std::min<std::size_t>(left, 56));
      writer.put(0, n);
      left -= n;
    }
    return writer.finish();
  }
  const Codes codes = tree.codes();
  if (data.size() >= kPairTableBytes) {
    put_pairs(data, codes, writer);
  } else {
    for (const std::uint8_t byte : data) writer.put(codes[byte].bits, codes[byte].length);
  }
  return writer.finish();
}

}  // namespace skein
