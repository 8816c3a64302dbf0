#include "tools/stream_options.h"

#include <charconv>
#include <map>

#include "tools/command_line.h"

namespace skein {
namespace {

Error wrong(const std::string& why) { return {std::errc::invalid_argument, why}; }

constexpr std::uint32_t kMostSide = 32768;  // of a simulated frame: 2 GiB
constexpr double kMostPerSecond = 1e6;
constexpr int kMostBufferMs = 3'600'000;

}  // namespace

void StreamOptions::add_to(CLI::App& app) {
  app.add_option("SOURCE TARGET", words);
  app.add_option("--simulate", simulate, "a camera of that many pixels, e.g. 2048x2048")
      ->type_name("WxH");
  app.add_option("--seed", seed, "of its noise [default: 1]")->type_name("N");
  app.add_option("--fps", per_second, "frames or files a second [default: as fast as they go]")
      ->type_name("F")
      ->check(CLI::Range(1e-3, kMostPerSecond).description(""));
  app.add_option("--frames", count,
                 "how many [default: all of SOURCE; 100 of --simulate]")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}).description(""));
  app.add_option("--buffer-ms", buffer_ms,
                 "with --fps: what the camera's own buffer holds [default: 1000]")
      ->type_name("N")
      ->check(CLI::Range(0, kMostBufferMs).description(""));
  const std::map<std::string, FrameCodec> codecs{{"raw", FrameCodec::kRaw},
                                                 {"huffman", FrameCodec::kHuffman},
                                                 {"zstd", FrameCodec::kZstd}};
  app.add_option("--codec", codec,
                 "raw, huffman (PZF, PYME reads both) or zstd (SZF) [default: raw]")
      ->type_name("KIND")
      ->transform(CLI::CheckedTransformer(codecs, CLI::ignore_case).description(""));
  app.add_option("--sqrt", sqrt, "quantize as round(sqrt(v-OFFSET)/SCALE); not with raw")
      ->type_name("OFFSET,SCALE");
  app.add_option("--threads", threads, "for coding [default: half of the processors]")
      ->type_name("N")
      ->check(CLI::Range(1u, 1024u).description(""));
  app.add_option("--queue-mb", queue_mb, "most MiB accepted and not stored [default: 256]")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 20).description(""));
  app.add_option("--metadata", metadata, "flat JSON object for the series' metadata")
      ->type_name("FILE");
  app.add_option("--recovery", recovery,
                 "keep here what no node takes [default: ~/.local/state/skein/stream/CLUSTER]")
      ->type_name("DIR");
  app.add_flag("--spill", spill, "keep there too what no longer fits the queue, and send it later");
  app.add_option("--spill-mb", spill_mb, "most MiB of that [default: 16384]")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 30).description(""));
  app.add_flag("--left-behind", left_behind,
               "only send what recordings that have ended left there");
  app.add_flag("--preflight", preflight, "only say whether this can be recorded");
  app.add_option("--preflight-s", preflight_s, "length of its test write [default: 3]")
      ->type_name("N")
      ->check(CLI::Range(1, 600).description(""));
}

Result<FrameCoding> StreamOptions::coding() const {
  FrameCoding coding{codec, std::nullopt};
  if (sqrt.empty()) return coding;
  SqrtQuantization by;
  const char* const end = sqrt.data() + sqrt.size();
  const auto [comma, bad_offset] = std::from_chars(sqrt.data(), end, by.offset);
  if (bad_offset == std::errc() && comma != end && *comma == ',') {
    const auto [rest, bad_scale] = std::from_chars(comma + 1, end, by.scale);
    if (bad_scale == std::errc() && rest == end) {
      coding.quantization = by;
      return coding;
    }
  }
  return wrong("--sqrt " + sqrt + ": two numbers, OFFSET,SCALE");
}

Result<StreamOptions::Size> StreamOptions::simulated_size() const {
  Size size;
  const char* const end = simulate.data() + simulate.size();
  const auto [x, bad_width] = std::from_chars(simulate.data(), end, size.width);
  if (bad_width == std::errc() && x != end && *x == 'x') {
    const auto [rest, bad_height] = std::from_chars(x + 1, end, size.height);
    if (bad_height == std::errc() && rest == end && size.width > 0 && size.height > 0 &&
        size.width <= kMostSide && size.height <= kMostSide) {
      return size;
    }
  }
  return wrong("--simulate " + simulate + ": WIDTHxHEIGHT, each from 1 to " +
               std::to_string(kMostSide));
}

Result<void> StreamOptions::check() const {
  if (left_behind) {
    if (words.empty() && simulate.empty() && !preflight) return {};
    return wrong("--left-behind knows what to send: no SOURCE, TARGET, --simulate or --preflight");
  }
  const bool simulates = !simulate.empty();
  const std::size_t most = simulates ? 1 : 2;
  const std::size_t least = preflight ? most - 1 : most;
  if (words.size() < least || words.size() > most) {
    return wrong(simulates ? "with --simulate one word is needed, TARGET; see skein stream --help"
                           : "both SOURCE and TARGET are needed; see skein stream --help");
  }
  if (simulates) {
    if (auto size = simulated_size(); !size) return size.error();
  }
  if (preflight && per_second == 0) return wrong("--preflight needs the rate: --fps");
  if (auto coded = coding(); !coded) return coded.error();
  if (codec == FrameCodec::kRaw && !sqrt.empty()) return wrong("--sqrt does not go with raw");
  return {};
}

}  // namespace skein
