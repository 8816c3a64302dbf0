#include "fuse/mount_point.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "core/fd.h"

namespace skein {
namespace {

// As /proc/self/mountinfo writes a path: blanks and backslashes as three octal digits.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct Mounted {
  std::string type;
  std::string device;  // "major:minor"
};

// The topmost filesystem mounted exactly there; empty if none.
Mounted mounted_at(const std::filesystem::path& path) {
  std::ifstream file("/proc/self/mountinfo");
  Mounted found;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string skipped;
    std::string device;
    std::string point;
    words >> skipped >> skipped >> device >> skipped >> point;
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos || unescaped(point) != path.string()) continue;
    found = {line.substr(dash + 3, line.find(' ', dash + 3) - dash - 3), device};
  }
  return found;
}

}  // namespace

std::string mounted_device(const std::filesystem::path& mount_point) {
  return mounted_at(mount_point).device;
}

Result<void> check_mount_point(const std::filesystem::path& mount_point) {
  const std::string name = mount_point.string();
  // Before stat(2), which on a dead mount fails and on a stuck one may wait.
  if (mounted_at(mount_point).type.starts_with("fuse.skein")) {
    return Error{std::errc::device_or_resource_busy,
                 name + " is already a Skein mount; end it with: fusermount3 -u -z " + name};
  }
  struct stat st {};
  if (::stat(name.c_str(), &st) != 0) {
    if (errno == ENOTCONN) {
      return Error{std::errc::device_or_resource_busy,
                   name + " is a mount whose program died; clear it with: fusermount3 -u -z " +
                       name};
    }
    return errno_error(errno, "mount point " + name);
  }
  if (!S_ISDIR(st.st_mode)) {
    return Error{std::errc::not_a_directory, "mount point " + name + ": not a directory"};
  }
  return {};
}

Result<void> check_fuse_device() {
  const Fd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device || ::geteuid() != 0) {
    // fusermount3 opens it for other users.
    if (::access("/dev/fuse", F_OK) == 0) return {};
  }
  return Error{std::errc::no_such_device, std::string("/dev/fuse: ") + std::strerror(errno) +
                                              "; load the kernel module with: modprobe fuse"};
}

}  // namespace skein
