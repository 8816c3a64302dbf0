// The lane's listening socket, a file in the run directory; removed with this object.
#pragma once

#include <string>

#include "core/error.h"
#include "core/fd.h"
#include "dataserver/lane_access.h"

namespace skein {

class LaneSocket {
 public:
  // Replaces a socket that a dead server left: the caller holds the store that `node_id` names, so
  // no other can be alive. Errors: as make_run_dir(), bind(2), chown(2); filename_too_long.
  static Result<LaneSocket> listen(const std::string& node_id, const LaneAccess& access);
  LaneSocket(LaneSocket&& other) noexcept;
  LaneSocket& operator=(LaneSocket&&) = delete;
  ~LaneSocket();

  const std::string& path() const { return path_; }
  // To be called once.
  Fd take_listener() { return std::move(listener_); }

 private:
  LaneSocket(std::string path, Fd listener);

  std::string path_;  // "" when moved from
  Fd listener_;
};

}  // namespace skein
