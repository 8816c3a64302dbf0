// The code tree of a Huffman stream: built from a histogram in the order that makes trees identical
// to PYME's, written and read in the stream's pre-order form (docs/wire.md, "Huffman stream").
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace skein {

using Histogram = std::array<std::uint64_t, 256>;

struct HuffmanTree {
  static constexpr int kMostNodes = 511;  // 256 leaves and 255 inner nodes
  static constexpr int kMostCodeBits = 24;

  struct Node {
    std::uint64_t weight = 0;
    std::int16_t child[2] = {-1, -1};  // by code bit; -1 = leaf
    std::uint8_t symbol = 0;           // of a leaf
    bool is_leaf() const { return child[0] < 0; }
  };

  std::array<Node, kMostNodes> nodes;
  int count = 0;
  int root = 0;

  // Precondition: at least one symbol occurs. Where a code would be longer than 24 bits, the counts
  // are flattened until none is; the tree is PYME's own otherwise.
  static HuffmanTree of(Histogram histogram);

  // Code and length of each symbol that occurs; length 0 = does not occur, or is the only one.
  struct Code {
    std::uint32_t bits = 0;
    std::uint8_t length = 0;
  };
  std::array<Code, 256> codes() const;

 private:
  void build(const Histogram& histogram);
  int depth() const;
};

}  // namespace skein
