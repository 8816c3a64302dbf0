#include "fuse/spool.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <system_error>

#include "core/uuid.h"

namespace skein {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{16} << 20;

Result<void> copy_all(int from, int to) {
  struct stat st {};
  if (::fstat(from, &st) != 0) return errno_error(errno, "size of the file to keep");
  off_t offset = 0;
  while (offset < st.st_size) {
    const ssize_t n = ::sendfile(to, from, &offset, kCopyBytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "copy the file to keep");
    if (n == 0) break;  // cut short meanwhile
  }
  return {};
}

std::string proc_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// The name is one of the file itself, so it holds whatever the file holds.
bool is_link_of(const std::string& path, const struct stat& file) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && st.st_dev == file.st_dev && st.st_ino == file.st_ino;
}

// Called with a file before it gets its name.
using Hold = std::function<Result<void>(int fd)>;

// Whole or not at all under its name; until then an older copy stays.
Result<void> copy_to(const std::string& path, int from, const Hold& hold) {
  const std::string fresh = path + ".new";
  Fd copy(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!copy) return errno_error(errno, "make " + fresh);
  auto copied = copy_all(from, copy.get());
  if (copied) copied = hold(copy.get());
  if (copied && ::rename(fresh.c_str(), path.c_str()) != 0) {
    copied = errno_error(errno, "rename " + fresh);
  }
  if (!copied) ::unlink(fresh.c_str());
  return copied;
}

// Whole or not at all under its name.
Result<void> write_text(const std::filesystem::path& path, const std::string& text) {
  const std::string fresh = path.string() + ".new";
  Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return errno_error(errno, "write " + fresh);
  const ssize_t n = ::write(file.get(), text.data(), text.size());
  if (n < 0) return errno_error(errno, "write " + fresh);
  if (static_cast<std::size_t>(n) != text.size()) return errno_error(ENOSPC, "write " + fresh);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return errno_error(errno, "rename " + fresh);
  return {};
}

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const std::filesystem::path& folder,
                                           const std::string& cluster, std::uint64_t max_bytes) {
  std::error_code ignored;  // mkdir(2) says it better
  std::filesystem::create_directories(folder.parent_path(), ignored);
  // One that was there may be shared, /tmp even: only what is made here is private.
  for (const std::filesystem::path& made : {folder, folder / "recover"}) {
    if (::mkdir(made.c_str(), 0700) != 0 && errno != EEXIST) {
      return errno_error(errno, "make the spool folder " + made.string());
    }
  }
  const std::string recover = (folder / "recover").string();
  struct stat st {};
  if (::lstat(recover.c_str(), &st) != 0) return errno_error(errno, "spool folder " + recover);
  if (!S_ISDIR(st.st_mode) || st.st_uid != ::geteuid()) {
    return Error{std::errc::permission_denied, recover + " is no folder of this user"};
  }
  std::unique_ptr<Spool> spool(new Spool(folder, cluster, max_bytes));
  if (auto tried = spool->create(); !tried) return tried.error();
  return spool;
}

Result<Fd> Spool::create() {
  Fd file(::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) return file;
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) {
    return errno_error(errno, "make a file in the spool folder " + folder_.string());
  }
  const std::string named = (folder_ / (make_uuid() + ".part")).string();
  file.reset(::open(named.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return errno_error(errno, "make " + named);
  ::unlink(named.c_str());
  return file;
}

Result<void> Spool::reserve(std::uint64_t bytes) {
  const std::uint64_t now = used_bytes_ += bytes;
  if (max_bytes_ == 0 || now <= max_bytes_) return {};
  used_bytes_ -= bytes;
  return Error{std::errc::no_space_on_device,
               "the spool is full: mount.spool_bytes = " + std::to_string(max_bytes_)};
}

std::filesystem::path Spool::data_path(const std::string& id) const {
  return folder_ / "recover" / (id + ".data");
}

std::filesystem::path Spool::note_path(const std::string& id) const {
  return folder_ / "recover" / (id + ".json");
}

Result<void> Spool::keep(const std::string& id, int fd, const RecoveryNote& note, Then then) {
  const std::string data = data_path(id).string();
  struct stat st {};
  if (::fstat(fd, &st) != 0) return errno_error(errno, "size of the file to keep");
  Fd held;
  const auto hold = [&](int file) -> Result<void> {
    if (then == Then::kStays) return {};
    auto locked = hold_for_mount(proc_path(file));
    if (!locked) return locked.error();
    held = std::move(*locked);
    return {};
  };
  const auto link = [&] {
    return is_link_of(data, st) || ::linkat(AT_FDCWD, proc_path(fd).c_str(), AT_FDCWD,
                                            data.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (!hold(fd) || !link()) {
    // Another disk, an unlinked file, or an older copy in its place: a copy is named here.
    if (auto copied = copy_to(data, fd, hold); !copied) return copied.error();
  }
  {
    const std::lock_guard lock(mutex_);
    if (held) {
      held_.insert_or_assign(id, std::move(held));
    } else {
      held_.erase(id);
    }
  }
  RecoveryNote written = note;
  written.cluster = cluster_;
  return write_text(note_path(id), to_json(written, static_cast<std::uint64_t>(st.st_size)));
}

void Spool::release(const std::string& id) {
  {
    const std::lock_guard lock(mutex_);
    held_.erase(id);
  }
  ::unlink(note_path(id).c_str());
  ::unlink(data_path(id).c_str());
}

std::size_t Spool::kept() const {
  std::size_t count = 0;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "recover", failed)) {
    if (entry.path().extension() == ".json") ++count;
  }
  return count;
}

}  // namespace skein
