#include "cache/lock_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace skein {
namespace {

constexpr int kWriterByte = 0;
constexpr int kPresenceByte = 1;
constexpr std::chrono::microseconds kFirstPause{50};   // most changes take less
constexpr std::chrono::microseconds kLongestPause{5000};

}  // namespace

Result<std::shared_ptr<LockFile>> LockFile::open(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return errno_error(errno, "open " + path.string());
  return std::shared_ptr<LockFile>(new LockFile(std::move(fd)));
}

bool LockFile::is_at(const std::filesystem::path& path) const {
  struct stat mine {}, there {};
  return ::fstat(fd_.get(), &mine) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

int LockFile::set(short type, int byte) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return ::fcntl(fd_.get(), F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

Result<void> LockFile::lock_writer(Deadline deadline) {
  auto pause = kFirstPause;
  for (;;) {
    const int failure = set(F_WRLCK, kWriterByte);
    if (failure == 0) return {};
    if (failure != EAGAIN && failure != EACCES && failure != EINTR) {
      return errno_error(failure, "lock the tree");
    }
    if (deadline.passed()) {
      return Error{std::errc::timed_out, "lock the tree: another process holds it"};
    }
    // There is no lock call with a deadline.
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

void LockFile::unlock_writer() { set(F_UNLCK, kWriterByte); }

bool LockFile::be_alone() { return set(F_WRLCK, kPresenceByte) == 0; }

void LockFile::be_present() { set(F_RDLCK, kPresenceByte); }

}  // namespace skein
