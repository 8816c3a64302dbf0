#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "streamer/huffman.h"

namespace skein {
namespace {

Error malformed(const char* why) { return {std::errc::bad_message, why}; }

// Reads bits, most significant first. Beyond the end there are zeros; overrun() tells.
class BitReader {
 public:
  explicit BitReader(std::span<const std::uint8_t> data)
      : data_(data), total_bits_(std::uint64_t{8} * data.size()) {}

  // At least 57 valid bits, left-aligned.
  std::uint64_t window() const {
    const std::size_t byte = at_ >> 3;
    std::uint64_t word = 0;
    if (byte + 8 <= data_.size()) {
      std::memcpy(&word, data_.data() + byte, sizeof word);
    } else if (byte < data_.size()) {
      std::memcpy(&word, data_.data() + byte, data_.size() - byte);
    }
    if constexpr (std::endian::native == std::endian::little) word = __builtin_bswap64(word);
    return word << (at_ & 7);
  }
  void skip(unsigned bits) { at_ += bits; }
  std::uint32_t take(unsigned bits) {
    const std::uint64_t value = window() >> (64 - bits);
    skip(bits);
    return static_cast<std::uint32_t>(value);
  }
  bool overrun() const { return at_ > total_bits_; }

 private:
  const std::span<const std::uint8_t> data_;
  const std::uint64_t total_bits_;
  std::uint64_t at_ = 0;  // bits
};

constexpr int kMostNodes = 511;

// A tree as read: no limit on its depth but the number of nodes.
struct ReadTree {
  struct Node {
    std::int16_t child[2] = {-1, -1};  // -1 = leaf
    std::uint8_t symbol = 0;
  };
  std::vector<Node> nodes;

  // Pre-order, without recursion: a hostile stream may be 255 levels deep.
  Result<void> read(BitReader& in) {
    std::vector<std::pair<int, int>> slots{{-1, 0}};  // (parent, which child), filled last first
    while (!slots.empty()) {
      const auto [parent, side] = slots.back();
      slots.pop_back();
      if (nodes.size() == kMostNodes) return malformed("code tree has more than 511 nodes");
      const auto self = static_cast<std::int16_t>(nodes.size());
      nodes.emplace_back();
      if (parent >= 0) nodes[static_cast<std::size_t>(parent)].child[side] = self;
      if (in.take(1) == 1) {
        nodes.back().symbol = static_cast<std::uint8_t>(in.take(8));
      } else {
        slots.emplace_back(self, 1);
        slots.emplace_back(self, 0);
      }
      if (in.overrun()) return malformed("stream ends inside its code tree");
    }
    return {};
  }
};

// What the next kTableBits bits begin with: up to three whole symbols.
struct Step {
  std::array<std::uint8_t, 3> symbols{};
  std::uint8_t count = 0;     // 0: the first code is longer than the table's index
  std::uint8_t bits = 0;      // that the symbols take
  std::int16_t node = 0;      // where a longer code goes on
};
constexpr unsigned kTableBits = 12;

std::vector<Step> make_table(const ReadTree& tree) {
  std::vector<Step> table(std::size_t{1} << kTableBits);
  for (unsigned index = 0; index < table.size(); ++index) {
    Step& step = table[index];
    int node = 0;
    for (unsigned depth = 1; depth <= kTableBits && step.count < 3; ++depth) {
      const unsigned bit = index >> (kTableBits - depth) & 1;
      node = tree.nodes[static_cast<std::size_t>(node)].child[bit];
      const ReadTree::Node& at = tree.nodes[static_cast<std::size_t>(node)];
      if (at.child[0] >= 0) continue;
      step.symbols[step.count++] = at.symbol;
      step.bits = static_cast<std::uint8_t>(depth);
      node = 0;
    }
    if (step.count == 0) step.node = static_cast<std::int16_t>(node);
  }
  return table;
}

std::uint8_t walk(const ReadTree& tree, int node, BitReader& in) {
  while (tree.nodes[static_cast<std::size_t>(node)].child[0] >= 0) {
    node = tree.nodes[static_cast<std::size_t>(node)].child[in.take(1)];
  }
  return tree.nodes[static_cast<std::size_t>(node)].symbol;
}

}  // namespace

Result<void> huffman_decode(std::span<const std::uint8_t> stream, std::span<std::uint8_t> out) {
  if (out.empty()) return {};
  BitReader in(stream);
  ReadTree tree;
  if (auto read = tree.read(in); !read) return read;
  if (tree.nodes.size() == 1) {
    std::fill(out.begin(), out.end(), tree.nodes[0].symbol);
    return {};
  }
  const std::vector<Step> table = make_table(tree);
  std::size_t done = 0;
  // Three symbols are written whatever the count: the last ones are done one by one.
  while (done + 3 <= out.size() && !in.overrun()) {
    const Step& step = table[in.window() >> (64 - kTableBits)];
    if (step.count == 0) {
      in.skip(kTableBits);
      out[done++] = walk(tree, step.node, in);
      continue;
    }
    std::memcpy(out.data() + done, step.symbols.data(), 3);
    done += step.count;
    in.skip(step.bits);
  }
  while (done < out.size() && !in.overrun()) out[done++] = walk(tree, 0, in);
  if (in.overrun()) return malformed("stream ends before its last symbol");
  return {};
}

}  // namespace skein
