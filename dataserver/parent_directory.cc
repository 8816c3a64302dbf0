#include "dataserver/parent_directory.h"

#include <algorithm>
#include <chrono>

namespace skein {

bool ParentDirectory::is_parent_of(const ClusterPath& file) const {
  const auto& own = path.components();
  const auto& its = file.components();
  return its.size() == own.size() + 1 && std::equal(own.rbegin(), own.rend(), its.rbegin() + 1) &&
         std::chrono::steady_clock::now() - found <= kTrust;
}

std::shared_ptr<const ParentDirectory> LastParent::of(const ClusterPath& file) const {
  std::shared_ptr<const ParentDirectory> last;
  {
    const std::lock_guard lock(mutex_);
    last = last_.lock();
  }
  return last && last->is_parent_of(file) ? last : nullptr;
}

std::shared_ptr<const ParentDirectory> LastParent::found(Fd directory, const ClusterPath& path) {
  auto parent = std::make_shared<const ParentDirectory>(std::move(directory), path,
                                                        std::chrono::steady_clock::now());
  const std::lock_guard lock(mutex_);
  last_ = parent;
  return parent;
}

void LastParent::forget() {
  const std::lock_guard lock(mutex_);
  last_.reset();
}

}  // namespace skein
