// The files that the kernel holds open, from the reply to OPEN or CREATE until its RELEASE.
//
// Owns them, so that a forced end of the mount, after which no RELEASE comes, ends their readers
// too. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>

#include "fuse/files.h"

namespace skein {

class OpenFiles {
 public:
  void add(std::unique_ptr<OpenFile> file);
  // Null: not open.
  std::unique_ptr<OpenFile> take(const OpenFile* file);
  // The own new file `inode`, if it is open: it may have no name any more. Null: it is not.
  Unsealed::Session session_of(Inode inode) const;
  // Precondition: no request is under way.
  void close_all();

 private:
  mutable std::mutex mutex_;  // guards the map
  std::unordered_map<const OpenFile*, std::unique_ptr<OpenFile>> files_;
};

}  // namespace skein
