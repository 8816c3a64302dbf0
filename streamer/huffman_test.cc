#include "streamer/huffman.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "streamer/huffman_tree.h"

namespace skein {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes encode(const Bytes& data) {
  Bytes out(huffman_bound(data.size()));
  out.resize(huffman_encode(data, out));
  return out;
}

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// Written from docs/wire.md alone, one bit at a time, sharing nothing with the library's decoder.
struct PlainDecoder {
  const Bytes& stream;
  std::size_t at = 0;

  int bit() {
    REQUIRE(at / 8 < stream.size());
    const int value = stream[at / 8] >> (7 - at % 8) & 1;
    ++at;
    return value;
  }
  struct Node {
    int symbol = -1;
    std::unique_ptr<Node> child[2];
  };
  std::unique_ptr<Node> tree() {
    auto node = std::make_unique<Node>();
    if (bit() == 1) {
      node->symbol = 0;
      for (int i = 0; i < 8; ++i) node->symbol = node->symbol * 2 + bit();
    } else {
      node->child[0] = tree();
      node->child[1] = tree();
    }
    return node;
  }
  Bytes decode(std::size_t size) {
    const auto root = tree();
    Bytes out;
    while (out.size() < size) {
      const Node* node = root.get();
      if (node->symbol >= 0) bit();
      while (node->symbol < 0) node = node->child[bit()].get();
      out.push_back(static_cast<std::uint8_t>(node->symbol));
    }
    return out;
  }
};

void check_round_trip(const Bytes& data) {
  const Bytes stream = encode(data);
  Bytes back(data.size());
  REQUIRE(huffman_decode(stream, back));
  REQUIRE(back == data);
  if (data.empty()) return;
  PlainDecoder plain{stream};
  REQUIRE(plain.decode(data.size()) == data);
  // The stream ends with the byte that holds the last code.
  REQUIRE(stream.size() == (plain.at + 7) / 8);
}

TEST_CASE("huffman: the streams that PYME writes for these texts, byte for byte") {
  CHECK(encode({}).empty());
  CHECK(encode(bytes_of("a")) == Bytes{0xb0, 0x80});
  CHECK(encode(bytes_of("aaaa")) == Bytes{0xb0, 0x80});
  CHECK(encode(bytes_of("ab")) == Bytes{0x58, 0xac, 0x30});
  CHECK(encode(bytes_of("aab")) == Bytes{0x58, 0xac, 0x38});
}

TEST_CASE("huffman: an independent decoder gives back what was encoded") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    const unsigned symbols = 1 + random() % 256;
    const double skew = 0.5 + static_cast<double>(random() % 100) / 20.0;
    Bytes data(random() % 5000);
    for (std::uint8_t& byte : data) {
      const double u = static_cast<double>(random()) / 4294967296.0;
      byte = static_cast<std::uint8_t>(std::pow(u, skew) * symbols);
    }
    check_round_trip(data);
  }
}

TEST_CASE("huffman: large data goes through the table of pairs, odd lengths too") {
  std::mt19937 random(7);
  std::poisson_distribution<int> photons(90);
  for (const std::size_t size : {262144u, 262145u, 262151u, 1000003u}) {
    Bytes data(size);
    for (std::size_t i = 0; i < size; ++i) {
      data[i] = i % 2 == 0 ? static_cast<std::uint8_t>(photons(random)) : 1;
    }
    check_round_trip(data);
  }
  check_round_trip(Bytes(300000, 42));
}

TEST_CASE("huffman: no code is longer than 24 bits, even for a Fibonacci histogram") {
  Histogram histogram{};
  std::uint64_t a = 1;
  std::uint64_t b = 1;
  for (std::size_t symbol = 0; symbol < 60; ++symbol) {
    histogram[symbol] = a;
    a = std::exchange(b, a + b);
  }
  const auto tree = HuffmanTree::of(histogram);
  for (std::size_t symbol = 0; symbol < 60; ++symbol) {
    const int length = tree.codes()[symbol].length;
    CHECK(length > 0);
    CHECK(length <= 24);
  }
}

TEST_CASE("huffman: data with a Fibonacci histogram comes back, where PYME's encoder fails") {
  Bytes data;
  std::size_t a = 1;
  std::size_t b = 1;
  for (int symbol = 0; symbol < 29; ++symbol) {
    data.insert(data.end(), a, static_cast<std::uint8_t>(symbol));
    a = std::exchange(b, a + b);
  }
  std::mt19937 random(11);
  std::shuffle(data.begin(), data.end(), random);
  check_round_trip(data);
}

TEST_CASE("huffman: a tree of any depth is read") {
  // A degenerate tree: symbol 0 has the one-bit code, symbol 254 and 255 codes of 255 bits.
  std::string bits;
  for (int symbol = 0; symbol < 255; ++symbol) {
    bits += "01";
    for (int i = 7; i >= 0; --i) bits += (symbol >> i & 1) ? '1' : '0';
  }
  bits += "111111111";
  bits += std::string(255, '1') + "10" + std::string(254, '1') + "0";
  while (bits.size() % 8 != 0) bits += '0';
  Bytes stream;
  for (std::size_t i = 0; i < bits.size(); i += 8) {
    stream.push_back(static_cast<std::uint8_t>(std::stoi(bits.substr(i, 8), nullptr, 2)));
  }
  Bytes out(3);
  // In this tree child 0 of each inner node is a leaf: "1" * 255 is symbol 255, "10" symbol 1.
  REQUIRE(huffman_decode(stream, out));
  CHECK(out == Bytes{255, 1, 254});
}

TEST_CASE("huffman: streams cut anywhere are refused, never read beyond their end") {
  std::mt19937 random(3);
  Bytes data(2000);
  for (std::uint8_t& byte : data) byte = static_cast<std::uint8_t>(random() % 50);
  const Bytes stream = encode(data);
  for (std::size_t size = 0; size < stream.size(); ++size) {
    // An allocation of exactly that size, so that the address sanitizer sees an overread.
    const Bytes cut(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
    Bytes out(data.size());
    const auto decoded = huffman_decode(cut, out);
    REQUIRE_FALSE(decoded);
    REQUIRE(decoded.error().code == std::errc::bad_message);
  }
}

TEST_CASE("huffman: random bytes never crash the decoder") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20000; ++round) {
    Bytes stream(random() % 60);
    for (std::uint8_t& byte : stream) byte = static_cast<std::uint8_t>(random());
    Bytes out(random() % 200);
    const auto decoded = huffman_decode(stream, out);
    if (!decoded) REQUIRE(decoded.error().code == std::errc::bad_message);
  }
}

}  // namespace
}  // namespace skein
