// Gives root's rights up for those of an ordinary user, for good.
#pragma once

#include <string>

#include "core/error.h"

namespace skein {

// To be called as root, before any thread exists and before anything is opened that the user may
// not have. The run directory is made first, where root has it, and opened to all users as /tmp is
// (sticky), so that this one can put its socket and its registry entry there. Errors:
// invalid_argument (no such user, or root itself), operation_not_permitted (not started as root and
// not that user already), others as setuid(2).
Result<void> run_as(const std::string& user);

}  // namespace skein
