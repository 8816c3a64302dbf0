#include "dataserver/file_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <spdlog/spdlog.h>

#include "core/uuid.h"
#include "dataserver/directory_scan.h"
#include "dataserver/file_copy.h"
#include "dataserver/file_mark.h"

namespace skein {
namespace {

// Files up to this size are let in for so long on one look at the free space.
constexpr std::uint64_t kSmallBytes = 64 * 1024;
constexpr std::chrono::milliseconds kSpaceTrust{20};
// A reader waits so long for the verdict on a suspected file; clients give up after 5 to 10 s.
constexpr std::chrono::seconds kVerdictTime{2};
constexpr mode_t kStagedMode = 0600;
// A disk that takes longer for a flush is taken for broken.
constexpr std::chrono::seconds kFlushDeadline{60};
constexpr mode_t kPublishedMode = 0440;  // what PYME's server gives its files

// What the kernel says to who uses a directory that was removed. Of a stage, ext4 says EPERM.
bool may_be_removal(const Error& error) {
  return error.code == std::errc::no_such_file_or_directory ||
         error.code == std::errc::operation_not_permitted;
}

Error exists(const ClusterPath& path) {
  return {std::errc::file_exists, path.text() + ": file exists"};
}

// A file where a parent directory should be means, to a writer, that the name is taken.
Error as_taken(const Error& error, const ClusterPath& path) {
  return error.code == std::errc::not_a_directory ? exists(path) : error;
}

// The deepest directory on the way to `path` that exists: a stage made there is on the right
// filesystem and near its final place on the disk.
struct Nearest {
  Fd directory;
  bool is_parent = false;  // of path itself
};
Result<Nearest> nearest_directory(int root, const ClusterPath& path) {
  ClusterPath at = path.parent();
  for (;;) {
    auto fd = open_beneath(root, at, O_PATH | O_DIRECTORY);
    if (fd) return Nearest{std::move(*fd), at == path.parent()};
    if (at.is_root() || fd.error().code != std::errc::no_such_file_or_directory) return fd.error();
    at = at.parent();
  }
}

Result<Nearest> place_for(int root, const ClusterPath& path) {
  if (path.is_root()) return exists(path);
  auto nearest = nearest_directory(root, path);
  return nearest ? std::move(nearest) : as_taken(nearest.error(), path);
}

// Errors: file_exists when something has the name.
Result<void> check_name(const Fd& parent, const ClusterPath& path) {
  if (::faccessat(parent.get(), path.name().c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    return exists(path);
  }
  return errno == ENOENT ? Result<void>() : errno_error(errno, path.text());
}

}  // namespace

Result<std::unique_ptr<FileStore>> FileStore::open(const std::string& root, Options options) {
  Fd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "root folder " + root);
  auto private_folder = PrivateFolder::open(fd.get(), root);
  if (!private_folder) return private_folder.error();
  std::error_code ignored;
  const auto absolute = std::filesystem::canonical(root, ignored);
  auto lost_writes = LostWrites::open(private_folder->directory());
  if (!lost_writes) return lost_writes.error();
  std::unique_ptr<FileStore> store(new FileStore(std::move(fd), ignored ? root : absolute.string(),
                                                 std::move(*private_folder),
                                                 std::move(*lost_writes), options));
  store->drop_leftovers();
  return store;
}

FileStore::FileStore(Fd root, std::string root_name, PrivateFolder private_folder,
                     std::unique_ptr<LostWrites> lost_writes, Options options)
    : options_(options),
      root_name_(std::move(root_name)),
      root_(std::move(root)),
      private_(std::move(private_folder)),
      lost_writes_(std::move(lost_writes)),
      index_(root_.get(), options.index_entries,
             [this](int directory, const ClusterPath& parent, const char* name,
                    const Found& found) { return is_torn(directory, parent, name, found); }),
      verification_([this](const ClusterPath& path, const Found& found) {
        tell_torn(path, found.size_bytes, found);
        index_.changed(path);
      }) {
  if (!options_.sync) return;
  if (const auto found = found_at(root_.get())) root_device_ = found->device;
  gate_ = std::make_unique<SyncGate>(SyncGate::filesystem_of(root_.get()));
}

// Stages of a server that died. Those that a client named are kept (StageShelf).
void FileStore::drop_leftovers() {
  const auto names = names_in(stage_directory());
  if (!names) return;
  for (const ScannedName& entry : *names) {
    if (!is_uuid(entry.name)) ::unlinkat(stage_directory(), entry.name.c_str(), 0);
  }
}

Result<FileStore::OpenFile> FileStore::open_file(const ClusterPath& path) {
  // Without O_NONBLOCK a fifo put into the folder would hold the thread.
  auto fd = open_beneath(root_.get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return fd.error();
  auto found = found_at(fd->get());
  if (!found) return found.error();
  if (found->kind == Found::Kind::kDirectory) {
    return Error{std::errc::is_a_directory, path.text() + " is a directory"};
  }
  if (found->kind != Found::Kind::kFile) {
    return Error{std::errc::no_such_file_or_directory, path.text() + " is no regular file"};
  }
  OpenFile file{std::move(*fd), *found, std::nullopt};
  const auto mark = read_mark(file.fd.get());
  if (!mark) return file;
  const MarkVerdict verdict = judge(*mark, *found);
  if (verdict == MarkVerdict::kTorn) return torn(path, *mark, *found);
  if (verdict == MarkVerdict::kChanged) return file;
  if (may_have_lost(file.found)) {
    const auto whole = is_whole(path, file.fd.get(), file.found, *mark);
    if (!whole) return whole.error();
    if (!*whole) return torn(path, *mark, *found);
  }
  file.checksum = mark->checksum;
  return file;
}

Result<bool> FileStore::is_whole(const ClusterPath& path, int fd, const Found& found,
                                 const FileMark& mark) {
  // What was never written, or never reached the disk, shows as a hole now.
  if (!mark.checksum) return !mark.dense || is_dense(fd, found.size_bytes);
  const auto verdict = verification_.verdict(fd, path, found, *mark.checksum,
                                             Deadline::after(kVerdictTime));
  if (!verdict) return verdict.error();
  if (*verdict == Verification::Verdict::kUnknown) {
    return Error{std::errc::timed_out, path.text() + " is being compared with its checksum after an "
                                                     "unclean stop of this node; ask again"};
  }
  return *verdict == Verification::Verdict::kWhole;
}

bool FileStore::is_torn(int directory, const ClusterPath& parent, const char* name,
                        const Found& found) {
  const Verification::Verdict known = verification_.known(found);
  if (known != Verification::Verdict::kUnknown) return known == Verification::Verdict::kTorn;
  if (found.writable || !may_have_lost(found)) return false;
  const Fd fd(::openat(directory, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  const auto mark = fd ? read_mark(fd.get()) : std::nullopt;
  if (!mark || judge(*mark, found) == MarkVerdict::kChanged) return false;
  const auto path = parent.child(name);
  const bool cut = judge(*mark, found) == MarkVerdict::kTorn;
  if (!cut && mark->checksum) {
    if (path) verification_.begin(fd.get(), *path, found, *mark->checksum);
    return false;
  }
  const bool holed = mark->dense && !is_dense(fd.get(), found.size_bytes);
  if (path && (cut || holed)) tell_torn(*path, mark->size_bytes, found);
  return cut || holed;
}

bool FileStore::tell_torn(const ClusterPath& path, std::uint64_t acknowledged_bytes,
                          const Found& found) {
  if (!verification_.tell_torn(found)) return false;
  spdlog::error("file damaged by an unclean stop, not served: path={} acknowledged_bytes={} "
                "found_bytes={}",
                path.text(), acknowledged_bytes, found.size_bytes);
  return true;
}

Error FileStore::torn(const ClusterPath& path, const FileMark& mark, const Found& found) {
  ++torn_;
  if (tell_torn(path, mark.size_bytes, found)) index_.changed(path);
  const std::string what =
      found.size_bytes == mark.size_bytes
          ? "some of its bytes did not outlive"
          : "only " + std::to_string(found.size_bytes) + " of " + std::to_string(mark.size_bytes) +
                " bytes outlived";
  return {std::errc::io_error, path.text() + ": " + what +
                                   " an unclean stop of this node; it is not served until somebody "
                                   "removes or mends it on the disk"};
}

Result<FileStore::Space> FileStore::space() const {
  struct statvfs st {};
  if (::fstatvfs(root_.get(), &st) != 0) return errno_error(errno, "free space of " + root_name_);
  return Space{st.f_blocks * st.f_frsize, st.f_bavail * st.f_frsize};
}

Result<void> FileStore::check_space(std::uint64_t size_bytes) {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  if (size_bytes <= kSmallBytes && time < std::chrono::nanoseconds(space_trusted_until_ns_)) return {};
  space_trusted_until_ns_ = 0;
  const auto now = space();
  if (!now) return now.error();
  if (now->free_bytes < options_.reserve_bytes ||
      now->free_bytes - options_.reserve_bytes < size_bytes) {
    return Error{std::errc::no_space_on_device,
                 "no space for " + std::to_string(size_bytes) + " bytes: " +
                     std::to_string(now->free_bytes) + " free, " +
                     std::to_string(options_.reserve_bytes) + " of them reserved"};
  }
  space_trusted_until_ns_ = std::chrono::nanoseconds(time + kSpaceTrust).count();
  return {};
}

Result<void> FileStore::check(const ClusterPath& path, std::uint64_t size_bytes) {
  const auto place = place_for(root_.get(), path);
  if (!place) return place.error();
  if (place->is_parent) {
    if (auto free = check_name(place->directory, path); !free) return free;
  }
  return check_space(size_bytes);
}

Result<StagedFile> FileStore::stage(const ClusterPath& path, std::uint64_t size_bytes,
                                    NameCheck name_check) {
  for (int i = 0;; ++i) {
    auto staged = try_stage(path, size_bytes, name_check);
    if (staged || i == kMostRemovals || !may_be_removal(staged.error())) return staged;
    last_parent_.forget();
  }
}

Result<StagedFile> FileStore::try_stage(const ClusterPath& path, std::uint64_t size_bytes,
                                        NameCheck name_check) {
  auto parent = last_parent_.of(path);
  Fd nearest;  // while there is no parent
  if (!parent) {
    auto place = place_for(root_.get(), path);
    if (!place) return place.error();
    if (place->is_parent) {
      parent = last_parent_.found(std::move(place->directory), path.parent());
    } else {
      nearest = std::move(place->directory);
    }
  }
  const auto room = check_space(size_bytes);
  // A client told of a full disk takes another node, even for a file that this one has.
  if (parent && (name_check == NameCheck::kNow || !room)) {
    if (auto free = check_name(parent->directory, path); !free) return free.error();
  }
  if (!room) return room.error();
  auto stage = new_stage(parent ? parent->directory.get() : nearest.get());
  if (stage) stage->remember_parent(std::move(parent));
  return stage;
}

Result<StagedFile> FileStore::new_stage(int directory) {
  if (options_.unnamed_stages) {
    // O_TMPFILE wants a path to resolve; "." of an O_PATH descriptor is the directory itself.
    Fd fd(::openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, kStagedMode));
    if (fd) return StagedFile(std::move(fd), stage_directory(), {});
    if (errno != EOPNOTSUPP && errno != EISDIR) return errno_error(errno, "make stage");
  }
  const std::string name = "unnamed-" + make_uuid();
  Fd fd(::openat(stage_directory(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                 kStagedMode));
  if (!fd) return errno_error(errno, "make stage");
  return StagedFile(std::move(fd), stage_directory(), name);
}

Result<void> FileStore::publish(StagedFile& staged, const ClusterPath& path) {
  if (path.is_root()) return exists(path);
  const auto began = DirectoryIndex::now();
  // A file may be renamed before its seal.
  auto parent = staged.parent();
  if (parent && !parent->is_parent_of(path)) parent.reset();
  Result<std::uint64_t> linked = Error{std::errc::no_such_file_or_directory, path.text()};
  for (int i = 0; i <= kMostRemovals && !linked && may_be_removal(linked.error()); ++i) {
    if (i > 0 || !parent) {
      auto made = open_directory(root_.get(), path.parent(), Missing::kMake);
      if (!made) return as_taken(made.error(), path);
      parent = last_parent_.found(std::move(*made), path.parent());
      index_.made_directory(path.parent());
    }
    linked = link(staged, path, parent->directory.get());
  }
  if (!linked && linked.error().code == std::errc::cross_device_link) {
    // Another filesystem is mounted below the root: the bytes have to move.
    auto copy = copy_of(staged.fd(), path);
    if (!copy) return copy.error();
    if (staged.checksum()) copy->set_checksum(*staged.checksum());
    linked = link(*copy, path, parent->directory.get());
  }
  if (!linked) return linked.error();
  index_.added(path, *linked, parent->directory.get(), began);
  return {};
}

Result<std::uint64_t> FileStore::link(StagedFile& staged, const ClusterPath& path, int directory) {
  const auto found = found_at(staged.fd());
  if (!found) return found.error();
  // Before the name: whoever sees the file finds it read-only and marked. The mark comes first, for
  // only what is writable by its mode can be marked.
  lost_writes_->publishing();
  const bool dense = !staged.checksum() && is_dense(staged.fd(), found->size_bytes);
  const FileMark mark{found->size_bytes, found->mtime_ns, staged.checksum(), dense};
  if (auto marked = write_mark(staged.fd(), mark); !marked) return marked.error();
  if (found->permissions != kPublishedMode && ::fchmod(staged.fd(), kPublishedMode) != 0) {
    return errno_error(errno, path.text());
  }
  // The gate flushes the root's filesystem only.
  const bool elsewhere = gate_ && found->device != root_device_;
  if (elsewhere && ::fsync(staged.fd()) != 0) return errno_error(errno, path.text());
  if (auto linked = staged.link_as(directory, path.name()); !linked) return linked.error();
  if (!elsewhere) return found->size_bytes;
  const Fd readable(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!readable || ::fsync(readable.get()) != 0) return errno_error(errno, path.text());
  return found->size_bytes;
}

Result<void> FileStore::publish_safely(StagedFile& staged, const ClusterPath& path) {
  if (!gate_) return publish(staged, path);
  const Deadline deadline = Deadline::after(kFlushDeadline);
  if (auto flushed = gate_->wait(gate_->ticket(), deadline); !flushed) return flushed;
  if (auto published = publish(staged, path); !published) return published;
  return gate_->wait(gate_->ticket(), deadline);
}

Result<StagedFile> FileStore::copy_of(int source, const ClusterPath& path) {
  const auto found = found_at(source);
  if (!found) return found.error();
  auto copy = stage(path, found->size_bytes);
  if (!copy) return copy;
  if (auto copied = copy_bytes(source, copy->fd()); !copied) return copied.error();
  return copy;
}

Result<StagedFile> FileStore::copy_to_shelf(int source) {
  auto copy = new_stage(stage_directory());
  if (!copy) return copy;
  if (auto copied = copy_bytes(source, copy->fd()); !copied) return copied.error();
  return copy;
}

Result<void> FileStore::make_directory(const ClusterPath& path) {
  if (auto free = check(path, 0); !free) return free.error();
  for (int i = 0;; ++i) {
    const auto parent = open_directory(root_.get(), path.parent(), Missing::kMake);
    if (!parent) return as_taken(parent.error(), path);
    if (::mkdirat(parent->get(), path.name().c_str(), 0755) == 0) break;
    if (errno == EEXIST) return exists(path);
    if (errno != ENOENT || i == kMostRemovals) return errno_error(errno, path.text());
  }
  index_.made_directory(path);
  return {};
}

// The index sees it by the parent's time of change, as with all that happens by hand.
Result<void> FileStore::remove_directory(const ClusterPath& path) {
  if (path.is_root()) return Error{std::errc::invalid_argument, "the root stays"};
  const auto parent = open_directory(root_.get(), path.parent(), Missing::kFail);
  if (!parent) return parent.error();
  if (::unlinkat(parent->get(), path.name().c_str(), AT_REMOVEDIR) == 0) return {};
  return errno_error(errno, path.text());
}

}  // namespace skein
