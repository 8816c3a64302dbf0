#include "dataserver/staged_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>

namespace skein {
namespace {

// Below this a file's write-back is the kernel's business.
constexpr std::uint64_t kWriteBackBytes = 32 * 1024 * 1024;

std::string descriptor_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

Error write_error(int failure) {
  return errno_error(failure == EDQUOT ? ENOSPC : failure, "write");
}

}  // namespace

StagedFile::StagedFile(Fd fd, int stage_directory, std::string name)
    : fd_(std::move(fd)), stage_directory_(stage_directory), name_(std::move(name)) {}

StagedFile::StagedFile(StagedFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      stage_directory_(other.stage_directory_),
      name_(std::exchange(other.name_, {})),
      appended_(other.appended_),
      checksum_(other.checksum_),
      parent_(std::move(other.parent_)),
      flushing_(other.flushing_) {}

StagedFile::~StagedFile() {
  if (!name_.empty()) ::unlinkat(stage_directory_, name_.c_str(), 0);
}

Result<void> StagedFile::append(std::span<const char> data) {
  while (!data.empty()) {
    const ssize_t n =
        ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(appended_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return write_error(errno);
    if (n == 0) return write_error(ENOSPC);
    appended_ += static_cast<std::uint64_t>(n);
    data = data.subspan(static_cast<std::size_t>(n));
  }
  if (appended_ - flushing_ >= kWriteBackBytes) {
    // Advice only: what fails here fails again, and is reported, where it matters.
    ::sync_file_range(fd_.get(), static_cast<off_t>(flushing_),
                      static_cast<off_t>(appended_ - flushing_), SYNC_FILE_RANGE_WRITE);
    flushing_ = appended_;
  }
  return {};
}

Result<Fd> StagedFile::hand_out() {
  Fd reader(::open(descriptor_path(fd_.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!reader) return errno_error(errno, "open staged file");
  return std::exchange(fd_, std::move(reader));
}

Result<void> StagedFile::link_as(int directory, const std::string& name) {
  if (!name_.empty()) {
    if (::linkat(stage_directory_, name_.c_str(), directory, name.c_str(), 0) == 0) return {};
    // FAT and some network filesystems have no links; a rename that replaces nothing is as good.
    if (errno != EPERM && errno != EOPNOTSUPP) return errno_error(errno, name);
    if (::renameat2(stage_directory_, name_.c_str(), directory, name.c_str(),
                    RENAME_NOREPLACE) != 0) {
      return errno_error(errno, name);
    }
    name_.clear();
    return {};
  }
  if (::linkat(fd_.get(), "", directory, name.c_str(), AT_EMPTY_PATH) == 0) return {};
  // Without CAP_DAC_READ_SEARCH older kernels answer ENOENT and want the way through /proc.
  if (errno != ENOENT && errno != EPERM) return errno_error(errno, name);
  if (::linkat(AT_FDCWD, descriptor_path(fd_.get()).c_str(), directory, name.c_str(),
               AT_SYMLINK_FOLLOW) != 0) {
    return errno_error(errno, name);
  }
  return {};
}

}  // namespace skein
