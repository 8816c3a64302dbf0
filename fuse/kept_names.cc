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
  if (given_.size() >= kMostDirectories && !given_.contains(directory)) given_.clear();
  Given& given = given_[directory];
  if (given.version == version && now - given.when < trust) return true;
  given = {version, now};
  return false;
}

}  // namespace skein
