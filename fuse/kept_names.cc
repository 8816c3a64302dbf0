#include "fuse/kept_names.h"

namespace skein {

bool KeptNames::keep(Inode directory, std::uint64_t version, bool settled,
                     std::chrono::milliseconds trust) {
  const TimePoint now = now_();
  const std::lock_guard lock(mutex_);
  if (version == 0 || !settled) {
    given_.erase(directory);
    return false;
  }
  Given& given = given_to(directory);
  if (given.version == version && now - given.when < trust) return true;
  given = {version, now};
  return false;
}

void KeptNames::gave(Inode directory, std::uint64_t version, TimePoint opened) {
  const std::lock_guard lock(mutex_);
  given_to(directory) = {version, opened};
}

KeptNames::Given& KeptNames::given_to(Inode directory) {
  if (given_.size() >= kMostDirectories && !given_.contains(directory)) given_.clear();
  return given_[directory];
}

}  // namespace skein
