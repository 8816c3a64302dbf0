// The bytes of frame n of a test: no two frames are alike, and no shift maps one onto itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

namespace skein {

inline std::string streamed_frame(std::uint64_t n, std::size_t size_bytes) {
  std::string bytes(size_bytes, '\0');
  std::uint64_t state = n + 1;
  for (std::size_t at = 0; at < size_bytes; at += sizeof state) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    std::memcpy(bytes.data() + at, &state, std::min(sizeof state, size_bytes - at));
  }
  return bytes;
}

}  // namespace skein
