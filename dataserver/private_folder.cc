#include "dataserver/private_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/path.h"
#include "core/uuid.h"

namespace skein {
namespace {

// Makes one directory below `base` and opens it. A symlink in its place is refused: it could send
// private files anywhere.
Result<Fd> make_directory_at(int base, const char* name, const std::string& what) {
  if (::mkdirat(base, name, 0700) != 0 && errno != EEXIST) return errno_error(errno, what);
  Fd fd(::openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno_error(errno, what);
  return fd;
}

Result<Fd> take_lock(int folder, const std::string& root_name) {
  Fd fd(::openat(folder, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return errno_error(errno, "lock of root folder " + root_name);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return errno_error(errno, "lock of root folder " + root_name);
  return Error{std::errc::device_or_resource_busy,
               "another data server is serving the root folder " + root_name};
}

Result<std::string> read_id(int folder, const std::string& what) {
  const Fd fd(::openat(folder, "node-id", O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno_error(errno, what);
  std::array<char, 64> text{};
  const ssize_t n = ::read(fd.get(), text.data(), text.size());
  if (n < 0) return errno_error(errno, what);
  std::string id(text.data(), static_cast<std::size_t>(n));
  if (id.ends_with('\n')) id.pop_back();
  if (!is_uuid(id)) return Error{std::errc::bad_message, what + " holds no UUID"};
  return id;
}

// Written beside and renamed, so that a crash leaves no half id.
Result<std::string> make_id(int folder, const std::string& what) {
  const std::string id = make_uuid();
  const Fd fd(::openat(folder, "node-id.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                       0644));
  const std::string line = id + "\n";
  if (!fd) return errno_error(errno, what);
  if (::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()) ||
      ::fsync(fd.get()) != 0 || ::renameat(folder, "node-id.new", folder, "node-id") != 0) {
    return errno_error(errno, what);
  }
  return id;
}

}  // namespace

Result<PrivateFolder> PrivateFolder::open(int root, const std::string& root_name) {
  const std::string private_name(kPrivateFolder);
  const std::string place = root_name + "/" + private_name;
  auto folder = make_directory_at(root, private_name.c_str(), "root folder " + root_name);
  if (!folder) return folder.error();
  PrivateFolder opened;
  auto lock = take_lock(folder->get(), root_name);
  if (!lock) return lock.error();
  opened.lock_ = std::move(*lock);

  auto id = read_id(folder->get(), place + "/node-id");
  if (!id && id.error().code == std::errc::no_such_file_or_directory) {
    id = make_id(folder->get(), place + "/node-id");
  }
  if (!id) return id.error();
  opened.node_id_ = std::move(*id);

  auto stage = make_directory_at(folder->get(), "stage", place + "/stage");
  if (!stage) return stage.error();
  opened.stage_ = std::move(*stage);
  auto kept = make_directory_at(folder->get(), "kept", place + "/kept");
  if (!kept) return kept.error();
  opened.kept_ = std::move(*kept);
  opened.folder_ = std::move(*folder);
  return opened;
}

}  // namespace skein
