// One file on its way to a node, from submit to answer. Shared by the threads of one connection. A
// file that goes on to another node goes as a copy, because the first may still be sending.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"
#include "streamer/buffer_pool.h"

namespace skein {

struct OutgoingFile {
  ClusterPath path;
  std::string head;  // the PUT's, empty line included; fixed once a node has the file
  // Goes back to its pool with the last holder: a node may answer while it is still being sent.
  std::shared_ptr<const BufferPool::Lent> body;
  TimePoint submitted{};
  // Some node may have stored it without our having seen the answer.
  bool unclear = false;
  // Nodes that refused it or gave up, by Node::key(): not asked again.
  std::vector<std::string> refused_by;
  std::string last_trouble;

  std::uint64_t size_bytes() const { return body->size(); }
};

using OutgoingPtr = std::shared_ptr<OutgoingFile>;

}  // namespace skein
