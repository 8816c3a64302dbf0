// What `skein stream` is asked to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "streamer/pzf.h"

namespace CLI {
class App;
}

namespace skein {

struct StreamOptions {
  std::vector<std::string> words;  // [SOURCE] TARGET
  std::string simulate;            // "WxH"; "" = SOURCE is read
  std::uint64_t seed = 1;
  double per_second = 0;  // 0: as fast as they are taken
  std::optional<std::uint64_t> count;
  int buffer_ms = 1000;
  FrameCodec codec = FrameCodec::kRaw;
  std::string sqrt;  // "OFFSET,SCALE"; "" = pixels as they are
  unsigned threads = 0;     // 0: half of the processors
  std::uint64_t queue_mb = 256;
  std::string metadata;  // a file
  std::string recovery;  // a folder; "" = default_recovery_folder() of the cluster
  bool spill = false;
  std::uint64_t spill_mb = 16384;
  bool left_behind = false;
  bool preflight = false;
  int preflight_s = 3;
  bool json = false;

  void add_to(CLI::App& app);

  // Errors: invalid_argument, with a sentence.
  Result<void> check() const;

  // Precondition of the two: check() has passed.
  std::string source() const { return words.front(); }
  std::string target() const { return words.empty() ? "/" : words.back(); }

  // Errors of both: invalid_argument.
  Result<FrameCoding> coding() const;
  struct Size {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
  };
  Result<Size> simulated_size() const;
};

}  // namespace skein
