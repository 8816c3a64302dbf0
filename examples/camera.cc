// A simulated camera that records a series, in C++:
//   c++ camera.cc $(pkg-config --cflags --libs skein-streamer) -o camera
//   ./camera http://127.0.0.1:15348 test/camera.pcs 100
#include <skein/skein_stream.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: camera NODES SERIES FRAMES\n");
    return 2;
  }
  try {
    const skein_stream::Cluster cluster("", argv[1]);
    skein_stream::Options options;
    options.path = argv[2];
    options.width = 64;
    options.height = 48;
    options.codec = SKEIN_ZSTD;
    skein_stream::Series series(cluster, options);
    std::vector<std::uint16_t> pixels(64 * 48);
    const std::uint64_t frames = std::stoull(argv[3]);
    std::uint64_t dropped = 0;
    for (std::uint64_t n = 0; n < frames; ++n) {
      for (std::size_t i = 0; i < pixels.size(); ++i) {
        pixels[i] = static_cast<std::uint16_t>(100 + (i * 7 + n) % 50);
      }
      if (!series.submit(n, pixels.data(), 2 * pixels.size(), 1000)) ++dropped;
    }
    const auto missing = series.finish(30000);
    std::printf("%zu frames missing, %zu refused\n", missing.size(),
                static_cast<std::size_t>(dropped));
    return missing.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "camera: %s\n", error.what());
    return 1;
  }
}
