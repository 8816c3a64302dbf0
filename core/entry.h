// One name in a directory of the cluster, as listings carry it (docs/wire.md, "Directory listing").
#pragma once

#include <cstdint>

namespace skein {

struct Entry {
  // Bits on the wire.
  static constexpr std::uint32_t kDirectory = 1;
  static constexpr std::uint32_t kSeries = 2;          // metadata.json is present
  static constexpr std::uint32_t kSeriesComplete = 4;  // events.json is present

  std::uint32_t type = 0;  // bits above; 0 = ordinary file
  std::int64_t size = 0;   // bytes of a file, number of entries of a directory; -1 = growing (PYME)

  bool is_directory() const { return (type & kDirectory) != 0; }
  bool operator==(const Entry&) const = default;
};

}  // namespace skein
