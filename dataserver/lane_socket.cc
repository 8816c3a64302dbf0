#include "dataserver/lane_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/run_dir.h"

namespace skein {

LaneSocket::LaneSocket(std::string path, Fd listener)
    : path_(std::move(path)), listener_(std::move(listener)) {}

LaneSocket::LaneSocket(LaneSocket&& other) noexcept
    : path_(std::exchange(other.path_, {})), listener_(std::move(other.listener_)) {}

LaneSocket::~LaneSocket() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<LaneSocket> LaneSocket::listen(const std::string& node_id, const LaneAccess& access) {
  const auto directory = make_run_dir();
  if (!directory) return directory.error();
  const std::string path = (*directory / (node_id + ".sock")).string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error{std::errc::filename_too_long, "lane socket " + path + ": name is too long"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error(errno, "lane socket");
  ::unlink(path.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return errno_error(errno, "lane socket " + path);
  }
  LaneSocket socket(path, std::move(fd));
  // Nobody can connect before listen(2), so group and mode are right from the first moment.
  if (access.group && ::lchown(path.c_str(), static_cast<uid_t>(-1), *access.group) != 0) {
    return errno_error(errno, "lane socket " + path + ": give to group " +
                                  std::to_string(*access.group) +
                                  " (the server's user must be a member)");
  }
  if (::chmod(path.c_str(), access.mode) != 0 || ::listen(socket.listener_.get(), SOMAXCONN) != 0) {
    return errno_error(errno, "lane socket " + path);
  }
  return socket;
}

}  // namespace skein
