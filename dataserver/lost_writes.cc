#include "dataserver/lost_writes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>

namespace skein {
namespace {

constexpr const char* kName = "session";
constexpr std::size_t kMostText = 4096;
// Linux 6.8; older kernels answer with the number that may be used again.
constexpr unsigned kMountIdUnique = 0x4000;

std::int64_t steady_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// Differs when what was not on the disk is gone. No spaces.
std::string mount_of(int folder) {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  file >> boot;
  struct statx found {};
  if (::statx(folder, "", AT_EMPTY_PATH, STATX_MNT_ID | kMountIdUnique, &found) != 0) return boot;
  return boot + "/" + std::to_string(found.stx_mnt_id);
}

std::string text_of(int fd) {
  std::string text(kMostText, '\0');
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

}  // namespace

Result<std::unique_ptr<LostWrites>> LostWrites::open(int folder) { return open(folder, mount_of(folder)); }

Result<std::unique_ptr<LostWrites>> LostWrites::open(int folder, const std::string& mount) {
  const std::string what = "session of the data server";
  std::unique_ptr<LostWrites> self(new LostWrites);
  LostWrites& opened = *self;
  const bool is_new = ::faccessat(folder, kName, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
  opened.session_ = Fd(::openat(folder, kName, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  struct stat last {};
  if (!opened.session_ || ::fstat(opened.session_.get(), &last) != 0) {
    return errno_error(errno, what);
  }
  // "<mount>", and "<from> <until>" of each window; what is damaged ends the list.
  std::istringstream text(text_of(opened.session_.get()));
  std::string last_mount;
  text >> last_mount;
  for (Window window; text >> window.from_ns >> window.until_ns;) opened.windows_.push_back(window);
  if (!is_new && last_mount != mount) {
    const std::int64_t alive_ns = last.st_mtim.tv_sec * 1'000'000'000LL + last.st_mtim.tv_nsec;
    opened.windows_.push_back({alive_ns - kBefore_ns, alive_ns + kAfter_ns});
  }
  while (opened.windows_.size() > kMostWindows) opened.windows_.erase(opened.windows_.begin());

  std::string line = mount + "\n";
  for (const Window& window : opened.windows_) {
    line += std::to_string(window.from_ns) + " " + std::to_string(window.until_ns) + "\n";
  }
  const int fd = opened.session_.get();
  if (::pwrite(fd, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size()) ||
      ::ftruncate(fd, static_cast<off_t>(line.size())) != 0 || ::fsync(fd) != 0 ||
      ::fsync(folder) != 0) {
    return errno_error(errno, what);
  }
  opened.renewed_ns_ = steady_ns();
  return self;
}

void LostWrites::publishing() {
  const std::int64_t now_ns = steady_ns();
  if (now_ns - renewed_ns_ < kRenewal_ns) return;
  renewed_ns_ = now_ns;
  // The journal keeps order: a name that outlives a cut finds this time there, too.
  ::futimens(session_.get(), nullptr);
}

bool LostWrites::suspects(std::int64_t time_ns) const {
  return std::any_of(windows_.begin(), windows_.end(), [&](const Window& window) {
    return time_ns >= window.from_ns && time_ns <= window.until_ns;
  });
}

}  // namespace skein
