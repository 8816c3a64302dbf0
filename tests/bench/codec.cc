// Rates of the frame codecs on one thread, on frames like those of an sCMOS camera in dim light:
// uint16, offset 100, Poisson noise. Prints one JSON object: {"NAME": {"ratio": r, "mb_per_s": [..]}}
// with MB/s of pixels, one figure per round; the competitors take turns.
#include <zstd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "streamer/pzf.h"

namespace skein {
namespace {

constexpr std::uint32_t kSide = 2048;
constexpr int kFrames = 4;   // distinct ones, so that no cache holds what is coded next
constexpr int kRepeats = 8;  // frames in one figure

using Bytes = std::vector<std::uint8_t>;

PzfHeader header() {
  PzfHeader header;
  header.width = header.height = kSide;
  header.order = 'F';
  return header;
}

std::vector<Bytes> make_frames() {
  std::mt19937_64 random(1);
  std::vector<Bytes> frames;
  for (int n = 0; n < kFrames; ++n) {
    Bytes frame(header().size_bytes());
    for (std::size_t at = 0; at < frame.size(); at += 128) {
      std::poisson_distribution<int> photons(20 + static_cast<double>(at / 128 % 32) * 6);
      for (std::size_t i = at; i < at + 128; i += 2) {
        const auto value = static_cast<std::uint16_t>(100 + photons(random));
        std::memcpy(frame.data() + i, &value, sizeof value);
      }
    }
    frames.push_back(std::move(frame));
  }
  return frames;
}

struct Competitor {
  std::string name;
  std::function<void(int frame)> once;
  double ratio = 1;
  std::vector<double> mb_per_s;
};

void add_codec(std::vector<Competitor>& all, const std::vector<Bytes>& frames,
               const std::string& name, FrameCoding coding) {
  auto encoder = std::make_shared<FrameEncoder>(coding);
  auto files = std::make_shared<std::vector<Bytes>>();
  for (const Bytes& frame : frames) {
    const auto file = *encoder->encode(header(), frame);
    files->emplace_back(file.begin(), file.end());
  }
  auto pixels = std::make_shared<Bytes>(header().size_bytes());
  const double ratio = static_cast<double>(frames[0].size()) / static_cast<double>((*files)[0].size());
  all.push_back({name + " encode",
                 [&frames, encoder](int n) {
                   if (!encoder->encode(header(), frames[static_cast<std::size_t>(n)])) std::abort();
                 },
                 ratio,
                 {}});
  all.push_back({name + " decode",
                 [files, pixels](int n) {
                   if (!decode_frame((*files)[static_cast<std::size_t>(n)], *pixels)) std::abort();
                 },
                 ratio,
                 {}});
}

void add_references(std::vector<Competitor>& all, const std::vector<Bytes>& frames) {
  auto copy = std::make_shared<Bytes>(frames[0].size());
  all.push_back({"memcpy",
                 [&frames, copy](int n) {
                   std::memcpy(copy->data(), frames[static_cast<std::size_t>(n)].data(), copy->size());
                   asm volatile("" : : "r"(copy->data()) : "memory");  // it is wanted
                 },
                 1,
                 {}});
  auto coded = std::make_shared<Bytes>(ZSTD_compressBound(frames[0].size()));
  const std::size_t size =
      ZSTD_compress(coded->data(), coded->size(), frames[0].data(), frames[0].size(), 1);
  const double ratio = static_cast<double>(frames[0].size()) / static_cast<double>(size);
  all.push_back({"plain zstd 1 encode",
                 [&frames, out = std::make_shared<Bytes>(coded->size())](int n) {
                   const Bytes& frame = frames[static_cast<std::size_t>(n)];
                   ZSTD_compress(out->data(), out->size(), frame.data(), frame.size(), 1);
                 },
                 ratio,
                 {}});
  all.push_back({"plain zstd 1 decode",
                 [copy, coded, size](int) {
                   ZSTD_decompress(copy->data(), copy->size(), coded->data(), size);
                 },
                 ratio,
                 {}});
}

void run(int rounds) {
  const std::vector<Bytes> frames = make_frames();
  std::vector<Competitor> all;
  add_references(all, frames);
  add_codec(all, frames, "PZF Huffman", {FrameCodec::kHuffman, {}});
  add_codec(all, frames, "PZF Huffman, sqrt", {FrameCodec::kHuffman, SqrtQuantization{90, 0.5F}});
  add_codec(all, frames, "SZF shuffle + zstd 1", {FrameCodec::kZstd, {}});
  add_codec(all, frames, "SZF, sqrt", {FrameCodec::kZstd, SqrtQuantization{90, 0.5F}});
  for (int round = 0; round < rounds; ++round) {
    for (Competitor& one : all) {
      one.once(0);
      const auto started = std::chrono::steady_clock::now();
      for (int i = 0; i < kRepeats; ++i) one.once(i % kFrames);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
      const double bytes = static_cast<double>(kRepeats) * static_cast<double>(frames[0].size());
      one.mb_per_s.push_back(bytes / 1e6 / took.count());
    }
  }
  std::printf("{");
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::printf("%s\"%s\": {\"ratio\": %.3f, \"mb_per_s\": [", i == 0 ? "" : ", ",
                all[i].name.c_str(), all[i].ratio);
    for (std::size_t k = 0; k < all[i].mb_per_s.size(); ++k) {
      std::printf("%s%.1f", k == 0 ? "" : ", ", all[i].mb_per_s[k]);
    }
    std::printf("]}");
  }
  std::printf("}\n");
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  skein::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 5);
  return 0;
}
