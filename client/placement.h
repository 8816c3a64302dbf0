// Chooses the node for a new file: the one written to longest ago; a node never written wins, and
// of several such the first of the snapshot. Same rule as PYME's client (docs/wire.md, "Write
// cost"). Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>

#include "core/clock.h"
#include "core/error.h"
#include "core/node.h"

namespace skein {

class Placement {
 public:
  explicit Placement(Clock now) : now_(std::move(now)) {}

  // Picks from `alive`, leaving out `excluded` keys, and marks the pick as written now.
  // Errors: host_unreachable if none is left.
  Result<Node> choose(const NodeList& alive, const std::set<std::string>& excluded = {});

 private:
  const Clock now_;

  std::mutex mutex_;  // guards everything below
  std::map<std::string, TimePoint> last_written_;  // by Node::key()
};

}  // namespace skein
