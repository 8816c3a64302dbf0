#include "dataserver/lane_access.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <vector>

namespace skein {
namespace {

// Nothing if `text` is no number in that base as a whole.
std::optional<unsigned> number(const std::string& text, int base) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The groups a peer had beside its first one as it connected.
std::vector<gid_t> further_groups(int socket) {
  std::vector<gid_t> groups(64);
  for (;;) {
    auto bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    const bool told = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) == 0;
    const std::size_t count = bytes / sizeof(gid_t);
    if (!told && (errno != ERANGE || count <= groups.size())) return {};
    groups.resize(count);
    if (told) return groups;
  }
}

}  // namespace

Result<LaneAccess> LaneAccess::parse(const std::string& mode, const std::string& group) {
  LaneAccess access;
  if (!group.empty()) {
    access.mode = 0660;
    access.group = number(group, 10);
    if (!access.group) {
      const struct group* const found = ::getgrnam(group.c_str());
      if (!found) return Error{std::errc::invalid_argument, "there is no group " + group};
      access.group = found->gr_gid;
    }
  }
  if (mode.empty()) return access;
  const auto bits = number(mode, 8);
  if (bits != 0600u && bits != 0660u && bits != 0666u) {
    return Error{std::errc::invalid_argument,
                 "lane mode is '" + mode + "', expected 0600, 0660 or 0666"};
  }
  access.mode = *bits;
  return access;
}

bool LaneAccess::admits(int socket) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  if (peer.uid == 0 || peer.uid == ::geteuid() || (mode & S_IWOTH)) return true;
  if (!(mode & S_IWGRP)) return false;
  const gid_t wanted = group.value_or(::getegid());
  const std::vector<gid_t> further = further_groups(socket);
  return peer.gid == wanted || std::find(further.begin(), further.end(), wanted) != further.end();
}

}  // namespace skein
