// The files and directories that the kernel holds open, from the reply to OPEN, CREATE or OPENDIR
// until its RELEASE or RELEASEDIR.
//
// Owns them, so that a forced end of the mount, after which no RELEASE comes, ends their readers
// too. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>

#include "fuse/directory_stream.h"
#include "fuse/files.h"

namespace skein {

class OpenFiles {
 public:
  void add(std::unique_ptr<OpenFile> file);
  void add(std::unique_ptr<DirectoryStream> directory);
  // Null: not open.
  std::unique_ptr<OpenFile> take(const OpenFile* file);
  std::unique_ptr<DirectoryStream> take(const DirectoryStream* directory);
  // The own new file `inode`, if it is open: it may have no name any more. Null: it is not.
  Unsealed::Session session_of(Inode inode) const;
  // Precondition: no request is under way.
  void close_all();

 private:
  template <typename Open>
  using Map = std::unordered_map<const Open*, std::unique_ptr<Open>>;
  mutable std::mutex mutex_;  // guards the maps
  Map<OpenFile> files_;
  Map<DirectoryStream> directories_;
};

}  // namespace skein
