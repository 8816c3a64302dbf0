// One file on its way to a node, from put() to its answer. Path and body never change once a node
// has it, because a node may answer, and another one be tried, while it is still being sent; the
// rest belongs to whoever is to place it or has it in line.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/path.h"
#include "streamer/body_checksum.h"
#include "streamer/buffer_pool.h"

namespace skein {

struct OutgoingFile {
  // A node that is not asked again: for good (it is full), or until its outage is over.
  struct Refusal {
    std::string node_key;
    bool is_outage = false;
  };

  ClusterPath path;
  std::uint64_t size_bytes = 0;
  BodyChecksum checksum;
  // Goes back to its pool, and to who gave its bytes, with the last holder: not one with a lock
  // held. Null while it is spilled.
  std::shared_ptr<const BufferPool::Lent> body;
  std::filesystem::path kept_as;  // where it lies on the local disk; "" = nowhere
  TimePoint submitted{};
  TimePoint parked_since{};  // when first no node took it; zero: never
  std::uint64_t ticket = 0;
  // Some node may have stored it without our having seen the answer.
  bool unclear = false;
  // Another program accepted it; the node that has the name, if any, is to be asked first.
  bool left_behind = false;
  // How often the node that has it now found other bytes than its checksum says.
  unsigned damaged_times = 0;
  std::vector<Refusal> refused_by;
  std::string last_trouble;

  bool was_refused_by(std::string_view node_key) const {
    return std::any_of(refused_by.begin(), refused_by.end(),
                       [&](const Refusal& refusal) { return refusal.node_key == node_key; });
  }
  bool met_an_outage() const {
    return std::any_of(refused_by.begin(), refused_by.end(),
                       [](const Refusal& refusal) { return refusal.is_outage; });
  }
  void forget_outages() {
    std::erase_if(refused_by, [](const Refusal& refusal) { return refusal.is_outage; });
  }
};

using OutgoingPtr = std::shared_ptr<OutgoingFile>;

}  // namespace skein
