#include "tools/local_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "core/uuid.h"

namespace skein {
namespace {

constexpr mode_t kMode = 0666;  // less the umask

std::filesystem::path temporary_name(const std::filesystem::path& path) {
  // 64 bytes are left to the name, so that the whole stays within NAME_MAX.
  return path.parent_path() /
         ("." + path.filename().string().substr(0, 64) + ".skein-" + make_uuid().substr(0, 8));
}

std::string folder_of(const std::filesystem::path& path) {
  const std::string folder = path.parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

Result<std::unique_ptr<LocalFile>> LocalFile::create(std::filesystem::path path) {
  Fd fd(::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kMode));
  std::filesystem::path temporary;
  // NFS, FUSE and old filesystems: "not supported", in several words.
  if (!fd && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT)) {
    temporary = temporary_name(path);
    fd.reset(::open(temporary.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, kMode));
  }
  if (!fd) return errno_error(errno, path.string());
  return std::unique_ptr<LocalFile>(
      new LocalFile(std::move(path), std::move(fd), std::move(temporary)));
}

LocalFile::~LocalFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> LocalFile::write(std::span<const char> piece) {
  while (!piece.empty()) {
    const ssize_t written = ::write(fd_.get(), piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno_error(errno, path_.string());
    piece = piece.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> LocalFile::link_under_temporary_name() {
  const std::filesystem::path name = temporary_name(path_);
  const std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
  if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    return errno_error(errno, path_.string());
  }
  temporary_ = name;
  return {};
}

Result<void> LocalFile::publish(IfThere if_there) {
  if (temporary_.empty() && if_there == IfThere::kRefuse) {
    const std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      return errno_error(errno, path_.string());
    }
  } else if (temporary_.empty()) {
    if (auto linked = link_under_temporary_name(); !linked) return linked;
  }
  // NFS tells of a full disk only now.
  if (::close(fd_.release()) != 0) return errno_error(errno, path_.string());
  if (temporary_.empty()) return {};
  const unsigned flags = if_there == IfThere::kRefuse ? RENAME_NOREPLACE : 0;
  int renamed = ::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), flags);
  if (renamed != 0 && errno == EINVAL && if_there == IfThere::kRefuse) {
    // NFS knows no flags; link(2) does not replace either, and the name it leaves is removed.
    if (::link(temporary_.c_str(), path_.c_str()) != 0) return errno_error(errno, path_.string());
    return {};
  }
  if (renamed != 0) return errno_error(errno, path_.string());
  temporary_.clear();
  return {};
}

Result<Fd> open_scratch() {
  const char* given = std::getenv("TMPDIR");
  const std::string folder = given && *given ? given : "/tmp";
  Fd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) {
    std::string name = folder + "/skein-XXXXXX";
    fd.reset(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd) return errno_error(errno, "temporary file in " + folder);
    ::unlink(name.c_str());
  }
  return fd;
}

}  // namespace skein
