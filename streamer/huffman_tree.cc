#include "streamer/huffman_tree.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>
#include <vector>

namespace skein {

HuffmanTree HuffmanTree::of(Histogram histogram) {
  HuffmanTree tree;
  tree.build(histogram);
  while (tree.depth() > kMostCodeBits) {
    // Halving brings the counts closer together, and a symbol that occurs keeps a code.
    for (std::uint64_t& count : histogram) {
      if (count > 0) count = count / 2 + 1;
    }
    tree.build(histogram);
  }
  return tree;
}

void HuffmanTree::build(const Histogram& histogram) {
  count = 0;
  std::array<std::int16_t, kMostNodes> open{};  // nodes without a parent, in the order made
  int open_count = 0;
  for (int symbol = 0; symbol < 256; ++symbol) {
    const std::uint64_t weight = histogram[static_cast<std::size_t>(symbol)];
    if (weight == 0) continue;
    nodes[static_cast<std::size_t>(count)] = {weight, {-1, -1}, static_cast<std::uint8_t>(symbol)};
    open[static_cast<std::size_t>(open_count++)] = static_cast<std::int16_t>(count++);
  }
  assert(open_count > 0);
  while (open_count > 1) {
    // PYME's rule: of equal weights the later node is the lighter one.
    int lightest = -1;
    int second = -1;
    const auto weight_at = [&](int i) {
      return nodes[static_cast<std::size_t>(open[static_cast<std::size_t>(i)])].weight;
    };
    for (int i = 0; i < open_count; ++i) {
      if (lightest < 0 || weight_at(i) <= weight_at(lightest)) {
        second = std::exchange(lightest, i);
      } else if (second < 0 || weight_at(i) <= weight_at(second)) {
        second = i;
      }
    }
    Node parent;
    parent.weight = weight_at(lightest) + weight_at(second);
    parent.child[0] = open[static_cast<std::size_t>(lightest)];
    parent.child[1] = open[static_cast<std::size_t>(second)];
    nodes[static_cast<std::size_t>(count)] = parent;
    for (const int gone : {std::max(lightest, second), std::min(lightest, second)}) {
      std::move(open.begin() + gone + 1, open.begin() + open_count, open.begin() + gone);
      --open_count;
    }
    open[static_cast<std::size_t>(open_count++)] = static_cast<std::int16_t>(count++);
  }
  root = open[0];
}

int HuffmanTree::depth() const {
  int deepest = 0;
  for (const Code& code : codes()) deepest = std::max<int>(deepest, code.length);
  return deepest;
}

std::array<HuffmanTree::Code, 256> HuffmanTree::codes() const {
  struct Visit {
    int node;
    std::uint32_t bits;
    int length;
  };
  std::array<Code, 256> result{};
  std::vector<Visit> to_visit{{root, 0, 0}};
  while (!to_visit.empty()) {
    const Visit at = to_visit.back();
    to_visit.pop_back();
    const Node& node = nodes[static_cast<std::size_t>(at.node)];
    if (node.is_leaf()) {
      // A length above the limit is all that depth() asks of too deep a tree: the bits are cut.
      result[node.symbol] = {at.bits, static_cast<std::uint8_t>(at.length)};
      continue;
    }
    for (const unsigned bit : {0u, 1u}) {
      to_visit.push_back({node.child[bit], at.bits << 1 | bit, at.length + 1});
    }
  }
  return result;
}

}  // namespace skein
