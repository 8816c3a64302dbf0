// What a node says of itself: the keys of GET /__status that discovery needs. PYME's servers have
// none of them, and are good nodes all the same. Source: docs/wire.md, "Status".
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"

namespace skein {

// Each "" when the reply does not hold it.
struct ProbedStatus {
  std::string id;  // UUID; anything else counts as absent
  std::string host_id;
  std::string cluster;
  std::string lane;
  std::string name;  // mDNS instance name

  bool operator==(const ProbedStatus&) const = default;
};

// Errors: bad_message (no JSON object). A key of the wrong type counts as absent.
Result<ProbedStatus> parse_node_status(std::string_view json);

}  // namespace skein
