// ROOT/.skein/: what a server keeps beside the files it serves.
//   node-id  the store's UUID; moves with the folder
//   lock     flock(2)-ed while a server runs on this root
//   session  on which mount the last server ran (lost_writes.h)
//   stage/   bytes received and not visible yet
//   kept/    files whose writer died between their close and their seal (kept_stages.h)
//   append/  journals of growing files (growing_files.h)
// Held for the life of the server; the lock goes with it.
#pragma once

#include <string>

#include "core/error.h"
#include "core/fd.h"

namespace skein {

class PrivateFolder {
 public:
  // Makes what is missing, takes the lock and reads the id. `root` is an open directory,
  // `root_name` is for messages. Errors: device_or_resource_busy (another server holds the root),
  // permission_denied, read_only_file_system, others as open(2); bad_message (damaged node id).
  static Result<PrivateFolder> open(int root, const std::string& root_name);

  const std::string& node_id() const { return node_id_; }
  int directory() const { return folder_.get(); }
  int stage_directory() const { return stage_.get(); }
  int kept_directory() const { return kept_.get(); }

 private:
  std::string node_id_;
  Fd folder_;
  Fd lock_;
  Fd stage_;
  Fd kept_;
};

}  // namespace skein
