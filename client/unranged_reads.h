// For servers that ignore Range (PYME's) and send the whole file each time: a reader that goes on
// where it stopped finds its half-read reply here, in place of skipping the file from its first
// byte, which makes reading n pieces cost n times n/2 pieces. Bounded, each entry being a
// connection of the node that waits; dropped when not used for long. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "client/exchange.h"
#include "core/clock.h"
#include "core/node.h"

namespace skein {

class UnrangedReads {
 public:
  static constexpr std::size_t kMost = 8;
  static constexpr std::chrono::seconds kUnusedFor{20};
  // Skipping this far costs less than a new request.
  static constexpr std::uint64_t kMostSkippedBytes = 4 * 1024 * 1024;

  struct Half {
    NodeAddress address;
    std::string target;
    std::uint64_t next = 0;  // offset of the next byte in the file
    Exchange exchange;
    TimePoint since{};
  };

  // One that stands at `offset` or shortly before it.
  std::optional<Half> take(const NodeAddress& address, const std::string& target,
                           std::uint64_t offset);
  void keep(Half half);

 private:
  void drop_unused(std::vector<std::unique_ptr<Half>>& dropped);

  std::mutex mutex_;  // guards everything below
  std::vector<std::unique_ptr<Half>> halves_;  // longest unused first
};

}  // namespace skein
