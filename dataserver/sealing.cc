#include "dataserver/sealing.h"

#include <fcntl.h>
#include <signal.h>

namespace skein {
namespace {

class ReadLease {
 public:
  explicit ReadLease(int fd) : fd_(fd) {
    // Who tries to open the file for writing meanwhile makes the kernel signal us; SIGURG is one
    // that is ignored unless asked for. The opener waits, and finds the file read-only.
    ::fcntl(fd_, F_SETSIG, SIGURG);
    held_ = ::fcntl(fd_, F_SETLEASE, F_RDLCK) == 0;
  }
  ~ReadLease() {
    if (held_) ::fcntl(fd_, F_SETLEASE, F_UNLCK);
  }
  ReadLease(const ReadLease&) = delete;
  ReadLease& operator=(const ReadLease&) = delete;
  bool held() const { return held_; }

 private:
  const int fd_;
  bool held_ = false;
};

Result<void> check_size(int fd, std::uint64_t size_bytes) {
  const auto found = found_at(fd);
  if (!found) return found.error();
  if (found->size_bytes == size_bytes) return {};
  return Error{std::errc::invalid_argument,
               "the stage has " + std::to_string(found->size_bytes) + " bytes, not " +
                   std::to_string(size_bytes)};
}

}  // namespace

Result<SealKind> seal(FileStore& store, StagedFile& stage, const ClusterPath& path,
                      std::uint64_t size_bytes) {
  if (auto sized = check_size(stage.fd(), size_bytes); !sized) return sized.error();
  if (const ReadLease lease(stage.fd()); lease.held()) {
    if (auto sized = check_size(stage.fd(), size_bytes); !sized) return sized.error();
    if (auto published = store.publish_safely(stage, path); !published) return published.error();
    return SealKind::kSameFile;
  }
  auto copy = store.copy_of(stage.fd(), path);
  if (!copy) return copy.error();
  if (auto sized = check_size(copy->fd(), size_bytes); !sized) return sized.error();
  if (auto published = store.publish_safely(*copy, path); !published) return published.error();
  return SealKind::kCopy;
}

}  // namespace skein
