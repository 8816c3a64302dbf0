// Who on this host may use the lane: what the socket's mode lets in, checked again by the kernel's
// word on who is at the other end, since a mode is easily changed.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "core/error.h"

namespace skein {

struct LaneAccess {
  mode_t mode = 0600;          // of the socket: 0600, 0660 or 0666
  std::optional<gid_t> group;  // of the socket; nothing: that of the server's user

  // mode: octal digits, "" = 0600, or 0660 with a group. group: name or number, "" = none given.
  // Errors: invalid_argument.
  static Result<LaneAccess> parse(const std::string& mode, const std::string& group);

  // Root and the server's own user always; members of the group if the mode has it; all if the mode
  // has all. `socket` is connected.
  bool admits(int socket) const;
};

}  // namespace skein
