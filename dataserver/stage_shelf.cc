#include "dataserver/stage_shelf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <ctime>

#include "core/uuid.h"
#include "dataserver/directory_scan.h"
#include "dataserver/file_mark.h"

namespace skein {
namespace {

template <typename Gone>
void drop_stages(int directory, Gone gone) {
  const auto names = names_in(directory);
  if (!names) return;
  for (const ScannedName& entry : *names) {
    struct stat st {};
    if (!is_uuid(entry.name)) continue;
    if (::fstatat(directory, entry.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (gone(st)) ::unlinkat(directory, entry.name.c_str(), 0);
  }
}

// The checksum has to outlive this process.
Result<void> mark(const StagedFile& stage) {
  const auto found = found_at(stage.fd());
  if (!found) return found.error();
  return write_mark(stage.fd(), {found->size_bytes, found->mtime_ns, stage.checksum()});
}

// A rename or a link; more than this is a disk that hangs.
constexpr std::chrono::seconds kLongestTurn{10};

}  // namespace

// The right to change one stage. Without it a publish could take away a newer stage that had just
// replaced the one it made visible, or two of them show one stage under two names.
class StageShelf::Turn {
 public:
  Turn(StageShelf& shelf, const std::string& id) : shelf_(shelf), id_(id) {
    std::unique_lock lock(shelf.mutex_);
    held_ = shelf.freed_.wait_for(lock, kLongestTurn, [&] { return !shelf.busy_.contains(id); });
    if (held_) shelf.busy_.insert(id);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (!held_) return;
    const std::lock_guard lock(shelf_.mutex_);
    shelf_.busy_.erase(id_);
    shelf_.freed_.notify_all();
  }

  Result<void> held() const {
    if (held_) return {};
    return Error{std::errc::timed_out, "stage " + id_ + " is busy"};
  }

 private:
  StageShelf& shelf_;
  const std::string id_;
  bool held_ = false;
};

StageShelf::StageShelf(FileStore& store) : store_(store) {
  // A second name means that the server died between giving it and taking the first away.
  drop_stages(store_.stage_directory(), [](const struct stat& st) { return st.st_nlink > 1; });
  drop_expired();
}

void StageShelf::drop_expired() {
  const time_t oldest = ::time(nullptr) - std::chrono::seconds(kLifetime).count();
  drop_stages(store_.stage_directory(),
              [&](const struct stat& st) { return st.st_mtime < oldest; });
}

Result<void> StageShelf::keep(const std::string& id, StagedFile& stage) {
  assert(is_uuid(id));
  const int directory = store_.stage_directory();
  if (auto marked = mark(stage); !marked) return marked;
  // Through a name of its own, because only a rename replaces an earlier stage in one step.
  const std::string passing = "unnamed-" + make_uuid();
  auto linked = stage.link_as(directory, passing);
  if (!linked && linked.error().code == std::errc::cross_device_link) {
    // The path lies on another filesystem, mounted below the root: the shelf gets a copy.
    auto copy = store_.copy_to_shelf(stage.fd());
    if (!copy) return copy.error();
    if (stage.checksum()) copy->set_checksum(*stage.checksum());
    if (auto marked = mark(*copy); !marked) return marked;
    linked = copy->link_as(directory, passing);
  }
  if (!linked) return linked;
  const Turn turn(*this, id);
  if (auto held = turn.held(); !held) {
    ::unlinkat(directory, passing.c_str(), 0);
    return held;
  }
  if (::renameat(directory, passing.c_str(), directory, id.c_str()) != 0) {
    const int failure = errno;
    ::unlinkat(directory, passing.c_str(), 0);
    return errno_error(failure, "keep stage " + id);
  }
  return {};
}

Result<void> StageShelf::publish(const std::string& id, const ClusterPath& path) {
  assert(is_uuid(id));
  const Turn turn(*this, id);
  if (auto held = turn.held(); !held) return held;
  const int directory = store_.stage_directory();
  Fd fd(::openat(directory, id.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno_error(errno, "stage " + id);
  StagedFile stage(std::move(fd), directory, id);
  if (const auto mark = read_mark(stage.fd()); mark && mark->checksum) {
    stage.set_checksum(*mark->checksum);
  }
  auto published = store_.publish(stage, path);
  if (!published) stage.keep_name();
  return published;
}

Result<void> StageShelf::drop(const std::string& id) {
  assert(is_uuid(id));
  const Turn turn(*this, id);
  if (auto held = turn.held(); !held) return held;
  if (::unlinkat(store_.stage_directory(), id.c_str(), 0) == 0) return {};
  return errno_error(errno, "stage " + id);
}

}  // namespace skein
