#include "dataserver/file_copy.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace skein {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;

Result<void> copy_through_memory(int from, int to, off_t at) {
  std::vector<char> piece(kPieceBytes);
  for (;;) {
    const ssize_t n = ::pread(from, piece.data(), piece.size(), at);
    if (n == 0) return {};
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "copy");
    for (ssize_t done = 0; done < n;) {
      const ssize_t written =
          ::pwrite(to, piece.data() + done, static_cast<std::size_t>(n - done), at + done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return errno_error(written < 0 ? errno : ENOSPC, "copy");
      done += written;
    }
    at += n;
  }
}

}  // namespace

Result<void> copy_bytes(int from, int to) {
  if (::ioctl(to, FICLONE, from) == 0) return {};
  off_t in = 0;
  off_t out = 0;
  for (;;) {
    const ssize_t n = ::copy_file_range(from, &in, to, &out, std::size_t{1} << 30, 0);
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    if (n < 0 && errno == ENOSPC) return errno_error(errno, "copy");
    // The end, or a pair of filesystems that cannot: reading on finds out which.
    return copy_through_memory(from, to, in);
  }
}

}  // namespace skein
