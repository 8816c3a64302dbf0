// One file on its way to a node, from put() to its answer. Head and body never change once a node
// has it, because a node may answer, and another one be tried, while it is still being sent; the
// rest belongs to whoever is to place it or has it in line.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/path.h"
#include "streamer/buffer_pool.h"

namespace skein {

struct OutgoingFile {
  ClusterPath path;
  std::string head;  // of its PUT, without the Host field and the empty line
  // Goes back to its pool with the last holder.
  std::shared_ptr<const BufferPool::Lent> body;
  TimePoint submitted{};
  std::uint64_t ticket = 0;
  // Some node may have stored it without our having seen the answer.
  bool unclear = false;
  // Nodes that refused it or gave up, by Node::key(): not asked again.
  std::vector<std::string> refused_by;
  std::string last_trouble;

  std::uint64_t size_bytes() const { return body->size(); }
};

using OutgoingPtr = std::shared_ptr<OutgoingFile>;

}  // namespace skein
