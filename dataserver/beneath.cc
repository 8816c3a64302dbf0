#include "dataserver/beneath.h"

#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <string>

namespace skein {
namespace {

// The kernel answers EAGAIN when a rename anywhere ran while ".." of a symlink was resolved.
constexpr int kMaxRaces = 100;

std::string relative(const ClusterPath& path) { return path.is_root() ? "." : path.text(); }

Found from_statx(const struct statx& st) {
  Found found;
  if (S_ISREG(st.stx_mode)) found.kind = Found::Kind::kFile;
  if (S_ISDIR(st.stx_mode)) found.kind = Found::Kind::kDirectory;
  found.size_bytes = st.stx_size;
  found.mtime_ns = st.stx_mtime.tv_sec * 1'000'000'000LL + st.stx_mtime.tv_nsec;
  found.ctime_ns = st.stx_ctime.tv_sec * 1'000'000'000LL + st.stx_ctime.tv_nsec;
  found.inode = st.stx_ino;
  found.device = (static_cast<std::uint64_t>(st.stx_dev_major) << 32) | st.stx_dev_minor;
  found.permissions = st.stx_mode & 07777;
  found.writable = (st.stx_mode & 0222) != 0;
  found.grows = found.writable && (st.stx_mode & S_ISVTX) != 0;
  return found;
}

std::string name_of(int fd) {
  std::array<char, PATH_MAX> name{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), name.data(), name.size());
  return size < 0 ? std::string() : std::string(name.data(), static_cast<std::size_t>(size));
}

// Asked only where a symlink was followed: any name may lead to the private folder then.
bool is_private(int root, int fd) {
  const std::string own = name_of(root) + "/" + std::string(kPrivateFolder);
  const std::string name = name_of(fd);
  return name.empty() || name == own || name.starts_with(own + "/");
}

constexpr unsigned kWanted = STATX_TYPE | STATX_MODE | STATX_SIZE | STATX_MTIME | STATX_CTIME | STATX_INO;

// Makes what is missing of `path`, from the top. Every step starts at the root again, so that a
// symlink on the way is judged by the same rule as in a single open.
Result<Fd> make_path(int root, const ClusterPath& path) {
  ClusterPath done;
  auto at = open_directory(root, done, Missing::kFail);
  for (const std::string& name : path.components()) {
    if (!at) return at;
    auto next_path = done.child(name);
    if (!next_path) return next_path.error();
    done = std::move(*next_path);
    auto next = open_directory(root, done, Missing::kFail);
    if (!next && next.error().code == std::errc::no_such_file_or_directory) {
      if (::mkdirat(at->get(), name.c_str(), 0755) != 0 && errno != EEXIST) {
        return errno_error(errno, "make directory " + done.text());
      }
      next = open_directory(root, done, Missing::kFail);
    }
    at = std::move(next);
  }
  return at;
}

}  // namespace

Result<Fd> open_beneath(int root, const ClusterPath& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  const std::string name = relative(path);
  int failure = EAGAIN;
  for (int i = 0; i < kMaxRaces && (failure == EAGAIN || failure == EINTR); ++i) {
    const long opened = ::syscall(SYS_openat2, root, name.c_str(), &how, sizeof how);
    failure = opened < 0 ? errno : 0;
    Fd fd(static_cast<int>(opened));
    const bool followed = (how.resolve & RESOLVE_NO_SYMLINKS) == 0;
    if (fd && (!followed || !is_private(root, fd.get()))) return fd;
    if (fd) return Error{std::errc::permission_denied, name + " leads to the server's own files"};
    if (failure == ELOOP && !followed) {
      how.resolve &= ~static_cast<std::uint64_t>(RESOLVE_NO_SYMLINKS);
      failure = EAGAIN;
    }
  }
  if (failure == EXDEV || failure == ELOOP) {
    return Error{std::errc::permission_denied, name + " leads out of the served folder"};
  }
  return errno_error(failure, name);
}

Result<Fd> open_directory(int root, const ClusterPath& path, Missing missing) {
  for (int i = 0;; ++i) {
    auto fd = open_beneath(root, path, O_PATH | O_DIRECTORY);
    const auto absent = [](const Result<Fd>& opened) {
      return !opened && opened.error().code == std::errc::no_such_file_or_directory;
    };
    if (!absent(fd) || missing == Missing::kFail) return fd;
    auto made = make_path(root, path);
    if (!absent(made) || i == kMostRemovals) return made;
  }
}

Result<Found> found_at(int fd) {
  struct statx st {};
  if (::statx(fd, "", AT_EMPTY_PATH, kWanted, &st) != 0) return errno_error(errno, "stat");
  return from_statx(st);
}

Result<std::optional<Found>> find_beneath(int root, const ClusterPath& path) {
  const auto fd = open_beneath(root, path, O_PATH);
  if (!fd) {
    const std::errc code = fd.error().code;
    if (code == std::errc::no_such_file_or_directory || code == std::errc::not_a_directory) {
      return std::optional<Found>();
    }
    return fd.error();
  }
  auto found = found_at(fd->get());
  if (!found) return found.error();
  return std::optional(*found);
}

Result<std::optional<Found>> find_in(int directory, const char* name) {
  struct statx st {};
  if (::statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, kWanted, &st) == 0) {
    return std::optional(from_statx(st));
  }
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<Found>();
  return errno_error(errno, name);
}

}  // namespace skein
