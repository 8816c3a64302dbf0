#include "dataserver/stage_shelf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <ctime>

#include <spdlog/spdlog.h>

#include "core/uuid.h"
#include "dataserver/directory_scan.h"

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
Result<void> mark(int fd, const std::optional<std::uint64_t>& checksum) {
  const auto found = found_at(fd);
  if (!found) return found.error();
  return write_mark(fd, {found->size_bytes, found->mtime_ns, checksum});
}

// A rename or a link; more than this is a disk that hangs.
constexpr std::chrono::seconds kLongestTurn{10};
// A client whose connection broke in the midst of a piece sends it again on another one, maybe before
// the end of the first was noticed. Short, because a thread that serves requests waits.
constexpr std::chrono::seconds kPiecePatience{1};
constexpr mode_t kStagedMode = 0600;

// Write-back of what came is started early, so that memory never fills with dirty pages.
constexpr std::uint64_t kWriteBackBytes = 32 * 1024 * 1024;

Error no_space(int failure) { return errno_error(failure == EDQUOT ? ENOSPC : failure, "write"); }

}  // namespace

// The right to change one stage. Without it a publish could take away a newer stage that had just
// replaced the one it made visible, or two of them show one stage under two names.
class StageShelf::Turn {
 public:
  Turn(StageShelf& shelf, const std::string& id, std::chrono::milliseconds patience = kLongestTurn)
      : shelf_(shelf), id_(id) {
    std::unique_lock lock(shelf.mutex_);
    held_ = shelf.freed_.wait_for(lock, patience, [&] { return !shelf.busy_.contains(id); });
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
  drop_lost();
  drop_expired();
}

// Of a stage that was not whole yet nobody knows what the disk has of it, and the next piece would
// make it look like a new one.
void StageShelf::drop_lost() {
  const int directory = store_.stage_directory();
  const auto names = names_in(directory);
  if (!names) return;
  for (const ScannedName& entry : *names) {
    if (!is_uuid(entry.name)) continue;
    const Fd fd(::openat(directory, entry.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    const auto found = fd ? found_at(fd.get()) : Result<Found>(errno_error(errno, entry.name));
    if (!found || !store_.may_have_lost(*found)) continue;
    if (const auto mark = read_mark(fd.get()); mark && mark->checksum) {
      unproven_.insert(entry.name);
      continue;
    }
    spdlog::warn("a stage that was not whole before an unclean stop is dropped: id={}", entry.name);
    ::unlinkat(directory, entry.name.c_str(), 0);
  }
}

void StageShelf::drop_expired() {
  const time_t oldest = ::time(nullptr) - std::chrono::seconds(kLifetime).count();
  drop_stages(store_.stage_directory(),
              [&](const struct stat& st) { return st.st_mtime < oldest; });
  const std::lock_guard lock(mutex_);
  std::erase_if(sums_, [&](const auto& sum) {
    return ::faccessat(store_.stage_directory(), sum.first.c_str(), F_OK, 0) != 0;
  });
}

Result<void> StageShelf::keep(const std::string& id, StagedFile& stage) {
  assert(is_uuid(id));
  const int directory = store_.stage_directory();
  if (auto marked = mark(stage.fd(), stage.checksum()); !marked) return marked;
  // Through a name of its own, because only a rename replaces an earlier stage in one step.
  const std::string passing = "unnamed-" + make_uuid();
  auto linked = stage.link_as(directory, passing);
  if (!linked && linked.error().code == std::errc::cross_device_link) {
    // The path lies on another filesystem, mounted below the root: the shelf gets a copy.
    auto copy = store_.copy_to_shelf(stage.fd());
    if (!copy) return copy.error();
    if (stage.checksum()) copy->set_checksum(*stage.checksum());
    if (auto marked = mark(copy->fd(), copy->checksum()); !marked) return marked;
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
  set_sum(id, std::nullopt);
  forget_unproven(id);
  return {};
}

Result<void> StageShelf::publish(const std::string& id, const ClusterPath& path) {
  assert(is_uuid(id));
  const Turn turn(*this, id);
  if (auto held = turn.held(); !held) return held;
  const int directory = store_.stage_directory();
  Fd fd(::openat(directory, id.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno_error(errno, "stage " + id);
  const auto mark = read_mark(fd.get());
  const auto whole = is_unproven(id) ? is_whole(fd.get(), mark.value_or(FileMark{}), path)
                                     : Result<bool>(true);
  if (!whole) return whole.error();
  forget_unproven(id);
  StagedFile stage(std::move(fd), directory, id);
  if (!*whole) {
    spdlog::warn("a stage lost bytes in an unclean stop, its client is told to send it again: id={}",
                 id);
    return errno_error(ENOENT, "stage " + id);
  }
  if (mark && mark->checksum) stage.set_checksum(*mark->checksum);
  if (const auto sum = sum_of(id)) {
    const auto found = found_at(stage.fd());
    if (found && found->size_bytes == sum->end) stage.set_checksum(sum->checksum.value());
  }
  auto published = store_.publish(stage, path);
  if (published) {
    set_sum(id, std::nullopt);
  } else {
    stage.keep_name();
  }
  return published;
}

Result<void> StageShelf::drop(const std::string& id) {
  assert(is_uuid(id));
  const Turn turn(*this, id);
  if (auto held = turn.held(); !held) return held;
  set_sum(id, std::nullopt);
  if (::unlinkat(store_.stage_directory(), id.c_str(), 0) == 0) return {};
  return errno_error(errno, "stage " + id);
}

Result<bool> StageShelf::is_whole(int fd, const FileMark& mark, const ClusterPath& path) {
  const auto found = found_at(fd);
  if (!found) return found.error();
  if (!mark.checksum || judge(mark, *found) != MarkVerdict::kWhole) return false;
  return store_.is_whole(path, fd, *found, mark);
}

bool StageShelf::is_unproven(const std::string& id) {
  const std::lock_guard lock(mutex_);
  return unproven_.contains(id);
}

void StageShelf::forget_unproven(const std::string& id) {
  const std::lock_guard lock(mutex_);
  unproven_.erase(id);
}

// Precondition: the turn is held.
Result<Fd> StageShelf::open_to_change(const std::string& id, int flags) {
  const bool begins_anew = (flags & O_CREAT) != 0;
  if (begins_anew) forget_unproven(id);
  if (is_unproven(id)) return errno_error(ENOENT, "stage " + id);
  Fd fd(::openat(store_.stage_directory(), id.c_str(), flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC,
                 kStagedMode));
  if (!fd) return errno_error(errno, "stage " + id);
  return fd;
}

std::optional<StageShelf::Sum> StageShelf::sum_of(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = sums_.find(id);
  return found == sums_.end() ? std::nullopt : std::optional(found->second);
}

void StageShelf::set_sum(const std::string& id, std::optional<Sum> sum) {
  const std::lock_guard lock(mutex_);
  sums_.erase(id);
  if (sum && sums_.size() < kMostSums) sums_.emplace(id, std::move(*sum));
}

Result<std::optional<std::uint64_t>> StageShelf::resize(const std::string& id,
                                                        std::uint64_t size_bytes) {
  assert(is_uuid(id));
  const Turn turn(*this, id, kPiecePatience);
  if (auto held = turn.held(); !held) return held.error();
  // Of a stage that was lost, a length alone must not make one full of zeros.
  const int make = size_bytes == 0 ? O_CREAT : 0;
  const auto fd = open_to_change(id, make);
  if (!fd) return fd.error();
  return cut(id, fd->get(), size_bytes);
}

// Precondition: the turn is held.
Result<std::optional<std::uint64_t>> StageShelf::cut(const std::string& id, int fd,
                                                     std::uint64_t size_bytes) {
  remove_mark(fd);
  if (::ftruncate(fd, static_cast<off_t>(size_bytes)) != 0) return no_space(errno);
  auto sum = size_bytes == 0 ? std::optional(Sum{}) : sum_of(id);
  if (!sum || sum->end != size_bytes) {
    set_sum(id, std::nullopt);
    return std::optional<std::uint64_t>();
  }
  const std::uint64_t checksum = sum->checksum.value();
  set_sum(id, std::move(sum));
  if (auto marked = mark(fd, checksum); !marked) return marked.error();
  return std::optional(checksum);
}

Result<std::unique_ptr<StageShelf::Piece>> StageShelf::piece(const std::string& id,
                                                             std::uint64_t first) {
  assert(is_uuid(id));
  auto turn = std::make_unique<Turn>(*this, id, kPiecePatience);
  if (auto held = turn->held(); !held) return held.error();
  auto fd = open_to_change(id, 0);
  if (!fd) return fd.error();
  remove_mark(fd->get());
  return std::unique_ptr<Piece>(new Piece(*this, id, std::move(turn), std::move(*fd), first));
}

StageShelf::Piece::Piece(StageShelf& shelf, const std::string& id, std::unique_ptr<Turn> turn, Fd fd,
                         std::uint64_t first)
    : shelf_(shelf),
      id_(id),
      turn_(std::move(turn)),
      fd_(std::move(fd)),
      first_(first),
      end_(first),
      sum_(shelf.sum_of(id)) {
  if (!sum_ || first == sum_->end) return;
  if (first < sum_->end) shelf.set_sum(id, std::nullopt);
  sum_.reset();
}

StageShelf::Piece::~Piece() = default;

Result<void> StageShelf::Piece::add(std::span<const char> bytes) {
  if (sum_) sum_->checksum.add(bytes);
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(end_));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return no_space(n < 0 ? errno : ENOSPC);
    end_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::optional<std::uint64_t>> StageShelf::Piece::complete(
    std::optional<std::uint64_t> size_bytes) {
  if (end_ >= kWriteBackBytes) {
    // Advice only: what fails here fails again, and is reported, where it matters.
    ::sync_file_range(fd_.get(), static_cast<off_t>(first_), static_cast<off_t>(end_ - first_),
                      SYNC_FILE_RANGE_WRITE);
  }
  std::optional<std::uint64_t> checksum;
  if (sum_) {
    sum_->end = end_;
    checksum = sum_->checksum.value();
    shelf_.set_sum(id_, std::move(sum_));
    sum_.reset();
  }
  return size_bytes ? shelf_.cut(id_, fd_.get(), *size_bytes) : checksum;
}

}  // namespace skein
