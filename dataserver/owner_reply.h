// The reply to an append whose file is another node's (owners.h).
#pragma once

#include <string>

#include "dataserver/owners.h"
#include "dataserver/reply.h"

namespace skein {

// 307 to `target` on the owner, or 409 for a client that cannot follow; 503 if the owner is down or
// not known. Precondition: the verdict is neither kHere nor kAsking.
Reply reply_elsewhere(const Owners::Verdict& verdict, const std::string& target, bool can_follow);

}  // namespace skein
