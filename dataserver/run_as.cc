#include "dataserver/run_as.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "core/run_dir.h"

namespace skein {
namespace {

constexpr std::size_t kRecordBytes = 16 * 1024;  // as getpwnam_r(3) advises
constexpr mode_t kSharedMode = 01777;

Result<void> share_run_dir() {
  const auto dir = make_run_dir();
  if (!dir) return dir.error();
  if (::chmod(dir->c_str(), kSharedMode) != 0) {
    return errno_error(errno, "run directory " + dir->string());
  }
  // The user's own would be another one, where nobody looks.
  ::setenv("SKEIN_RUN_DIR", dir->c_str(), 1);
  return {};
}

}  // namespace

Result<void> run_as(const std::string& user) {
  passwd record{};
  passwd* found = nullptr;
  std::vector<char> text(kRecordBytes);
  const int failure = ::getpwnam_r(user.c_str(), &record, text.data(), text.size(), &found);
  if (failure != 0) return errno_error(failure, "user " + user);
  if (found == nullptr) return Error{std::errc::invalid_argument, "there is no user " + user};
  if (found->pw_uid == 0) {
    return Error{std::errc::invalid_argument, user + " is root; name an ordinary user"};
  }
  if (::geteuid() == found->pw_uid) return {};
  if (::geteuid() != 0) {
    return Error{std::errc::operation_not_permitted,
                 "only root can become user " + user + "; start it as root, or without --user"};
  }
  if (auto shared = share_run_dir(); !shared) return shared;
  if (::initgroups(user.c_str(), found->pw_gid) != 0 ||
      ::setresgid(found->pw_gid, found->pw_gid, found->pw_gid) != 0 ||
      ::setresuid(found->pw_uid, found->pw_uid, found->pw_uid) != 0 ||
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return errno_error(errno, "become user " + user);
  }
  return {};
}

}  // namespace skein
