#include "dataserver/grown_mark.h"

#include <sys/xattr.h>

#include "dataserver/file_mark.h"

namespace skein {
namespace {

constexpr const char* kName = "user.skein.grew";

}  // namespace

void mark_as_grown(int fd) {
  // Without the mark the file is read in another way, and as well.
  (void)::fsetxattr(fd, kName, "1", 1, 0);
}

bool has_grown(int fd) {
  return ::fgetxattr(fd, kName, nullptr, 0) > 0 && !read_mark(fd);
}

}  // namespace skein
