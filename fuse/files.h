// Opening, writing and renaming the files of the mount: reading of sealed ones, write sessions of
// new ones. What a call may do to a file follows from whether it is sealed:
//   sealed    read; everything that would change it is operation_not_permitted
//   unsealed  everything, by this mount only
//   growing   read, and below _aggregate append
//
// Thread-safe; one OpenFile may be used by several threads at a time. All inode numbers are the
// kernel's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/fd.h"
#include "fuse/growing_handle.h"
#include "fuse/mounted_tree.h"
#include "fuse/sealed_file.h"
#include "fuse/unsealed.h"
#include "fuse/write_session.h"

namespace skein {

// What one open(2) holds.
struct OpenFile {
  Inode inode = 0;
  Unsealed::Session session;           // an own new file, else null
  bool writes = false;                 // counts as a writer of the session
  Fd reader;                           // of the session, for who only reads
  std::unique_ptr<SealedFile> sealed;  // null for the session's
  std::unique_ptr<GrowingHandle> growing;  // the file grows; then no other is set

  // A descriptor to read from at any offset; -1: ask growing or sealed.
  int local_fd() const {
    if (growing) return -1;
    if (session) return writes ? session->fd() : reader.get();
    return sealed->local_fd();
  }
};

class Files {
 public:
  struct Parts {
    MountedTree& tree;
    Unsealed& unsealed;
    InodeTable& inodes;
    SealedFile::Sources reading;
    GrowingHandle::Sources growing;
    WriteSession::Parts writing;
  };
  explicit Files(const Parts& parts) : parts_(parts) {}

  // `flags` of open(2). Errors: operation_not_permitted for writing to a sealed file; stale if the
  // tree believed in a file that no node has; others as SealedFile::open(), WriteSession::begin().
  Result<std::unique_ptr<OpenFile>> open(Inode inode, int flags);
  // Errors also: file_exists (O_EXCL).
  Result<std::pair<Shown, std::unique_ptr<OpenFile>>> create(Inode parent, std::string_view name,
                                                             int flags);

  // A descriptor of the file is closed by `thread`. Errors: WriteSession::flush().
  Result<void> flush(const OpenFile& file, int thread);
  Result<void> sync(const OpenFile& file);
  // The last descriptor of an open file is gone.
  void release(std::unique_ptr<OpenFile> file);

  // `at` 0 and up: pwrite of own bytes is about to reach `end`. Errors: no_space_on_device,
  // bad_file_descriptor (not open for writing).
  Result<void> before_write(const OpenFile& file, std::uint64_t end);
  // One unbroken range of a growing file. Errors: as GrowingHandle::append().
  Result<void> append(const OpenFile& file, std::span<const char> bytes);
  // `file`: what ftruncate(2) named, else null. Errors: operation_not_permitted if sealed.
  Result<void> set_size(Inode inode, const OpenFile* file, std::uint64_t size_bytes);

  // Errors: operation_not_permitted if sealed, as Unsealed.
  Result<void> remove(Inode parent, std::string_view name);
  Result<void> rename(Unsealed::Place from, Unsealed::Place to);

 private:
  Result<std::unique_ptr<OpenFile>> open_session(const Unsealed::Session& session, int flags);
  Result<std::unique_ptr<OpenFile>> open_sealed(Inode inode, int flags);
  Result<std::unique_ptr<OpenFile>> open_growing(Inode inode, const ClusterPath& path, int flags);
  Result<std::pair<Shown, std::unique_ptr<OpenFile>>> create_growing(Inode parent,
                                                                     std::string_view name,
                                                                     const ClusterPath& path,
                                                                     int flags);

  const Parts parts_;
};

}  // namespace skein
