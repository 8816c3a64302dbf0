// The root folder of a server: plain files at plain paths, each written once.
//
// A new file is staged (invisible), then published by link(2), which replaces nothing: its EEXIST
// is the only judge of "already exists", so of two racing writers exactly one wins. Published files
// have mode 0440. Nothing outside of the folder is read or written (beneath.h). Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"
#include "dataserver/beneath.h"
#include "dataserver/directory_index.h"
#include "dataserver/file_mark.h"
#include "dataserver/lost_writes.h"
#include "dataserver/parent_directory.h"
#include "dataserver/private_folder.h"
#include "dataserver/staged_file.h"
#include "dataserver/sync_gate.h"
#include "dataserver/verification.h"

namespace skein {

class FileStore {
 public:
  struct Options {
    std::uint64_t reserve_bytes = 0;       // free space that stays free
    std::size_t index_entries = 4'000'000; // most entries that cached listings hold
    bool unnamed_stages = true;            // false: as on a filesystem without O_TMPFILE
    bool sync = false;                     // what is acknowledged has to survive a power cut
  };

  // Errors: no_such_file_or_directory, not_a_directory, permission_denied, read_only_file_system;
  // as PrivateFolder::open().
  static Result<std::unique_ptr<FileStore>> open(const std::string& root, Options options);

  const std::string& root_name() const { return root_name_; }
  const std::string& node_id() const { return private_.node_id(); }
  int root() const { return root_.get(); }
  int private_directory() const { return private_.directory(); }
  int stage_directory() const { return private_.stage_directory(); }
  int kept_directory() const { return private_.kept_directory(); }
  DirectoryIndex& index() { return index_; }

  struct OpenFile {
    Fd fd;  // read-only
    Found found;
    std::optional<std::uint64_t> checksum;  // as it was published (core/checksum.h)
  };
  // A regular file. Errors: no_such_file_or_directory (also for what is neither file nor
  // directory), is_a_directory, permission_denied, io_error (it lost bytes in an unclean stop),
  // timed_out (whether it did is still being found out).
  Result<OpenFile> open_file(const ClusterPath& path);

  // Who finds out that the name is taken: looking first is one system call more for a small file,
  // and saves a large one from being received for nothing.
  enum class NameCheck { kNow, kAtPublish };
  // An empty stage on the filesystem where `path` will be. Errors: file_exists (the name is taken,
  // or a file stands where a parent should), no_space_on_device (`size_bytes` more would leave
  // less than the reserve), permission_denied.
  Result<StagedFile> stage(const ClusterPath& path, std::uint64_t size_bytes,
                           NameCheck name_check = NameCheck::kNow);

  // Makes the staged bytes visible at `path`, parents included. On an error nothing is visible and
  // `staged` is as before. Errors: as stage().
  //
  // With Options::sync the caller lets a ticket of gate() be released before, or a power cut could
  // show a part of the file, and another one before it acknowledges.
  Result<void> publish(StagedFile& staged, const ClusterPath& path);
  // publish() with that waiting done, if it is asked for. Errors beside those: io_error, timed_out;
  // then the file may be visible.
  Result<void> publish_safely(StagedFile& staged, const ClusterPath& path);

  // Null without Options::sync.
  SyncGate* gate() { return gate_.get(); }

  // Would publish() find the name free and room left?
  Result<void> check(const ClusterPath& path, std::uint64_t size_bytes);

  // A stage for bytes that go into another file. Errors: as open(2).
  Result<StagedFile> scratch() { return new_stage(stage_directory()); }
  // Bytes are about to be acknowledged without being published: later it is known when that was.
  void writing() { lost_writes_->publishing(); }
  // May such a file have lost bytes in a power cut? Its writer may have set its modification time
  // (cp -a, rsync, tar), so the other one counts, too.
  bool may_have_lost(const Found& found) const {
    return lost_writes_->suspects(found.mtime_ns) || lost_writes_->suspects(found.ctime_ns);
  }
  // IsTorn (directory_scan.h). Waits for nothing: what is not known yet is no, and begun.
  bool is_torn(int directory, const ClusterPath& parent, const char* name, const Found& found);
  // Are the bytes of such a file, which is or will be at `path`, those of its mark? Errors: timed_out
  // (it is still being found out), io_error.
  Result<bool> is_whole(const ClusterPath& path, int fd, const Found& found, const FileMark& mark);
  // Would so many more bytes leave the reserve? Errors: no_space_on_device.
  Result<void> check_space(std::uint64_t size_bytes);

  // A stage for `path` holding the bytes that `source` has now. Errors: as stage(), read(2).
  Result<StagedFile> copy_of(int source, const ClusterPath& path);
  // The same on the filesystem of the stage folder.
  Result<StagedFile> copy_to_shelf(int source);

  // mkdir -p. Errors: file_exists (also as a directory), permission_denied, no_space_on_device.
  Result<void> make_directory(const ClusterPath& path);

  // Errors: directory_not_empty; no_such_file_or_directory, not_a_directory; invalid_argument (the
  // root).
  Result<void> remove_directory(const ClusterPath& path);

  // How often a file that lost bytes was asked for.
  std::uint64_t torn() const { return torn_; }

  struct Space {
    std::uint64_t total_bytes = 0;
    std::uint64_t free_bytes = 0;  // for an ordinary user, reserve not taken off
  };
  Result<Space> space() const;

 private:
  FileStore(Fd root, std::string root_name, PrivateFolder private_folder,
            std::unique_ptr<LostWrites> lost_writes, Options options);
  Error torn(const ClusterPath& path, const FileMark& mark, const Found& found);
  // In the log, once. True: now.
  bool tell_torn(const ClusterPath& path, std::uint64_t acknowledged_bytes, const Found& found);
  void drop_leftovers();
  Result<StagedFile> new_stage(int directory);
  Result<StagedFile> try_stage(const ClusterPath& path, std::uint64_t size_bytes,
                               NameCheck name_check);
  // The bytes of the file.
  Result<std::uint64_t> link(StagedFile& staged, const ClusterPath& path, int directory);

  const Options options_;
  const std::string root_name_;
  const Fd root_;
  const PrivateFolder private_;
  const std::unique_ptr<LostWrites> lost_writes_;
  DirectoryIndex index_;
  Verification verification_;
  LastParent last_parent_;
  std::uint64_t root_device_ = 0;
  std::unique_ptr<SyncGate> gate_;
  std::atomic<std::uint64_t> torn_ = 0;
  std::atomic<std::int64_t> space_trusted_until_ns_ = 0;  // steady clock
};

}  // namespace skein
