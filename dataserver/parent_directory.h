// The directory that files are staged and published in. The files of a series find it once for as
// long as one of them is on its way: looking it up costs a tenth of a small file. Nothing keeps it
// open longer, so that a filesystem mounted there can be unmounted.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "core/clock.h"
#include "core/fd.h"
#include "core/path.h"

namespace skein {

struct ParentDirectory {
  // Then it has to be looked up again: somebody may have moved it.
  static constexpr std::chrono::milliseconds kTrust{100};

  const Fd directory;
  const ClusterPath path;  // where it was found
  const TimePoint found;

  // It may be taken for the parent of `file`.
  bool is_parent_of(const ClusterPath& file) const;
};

// The one found last. Thread-safe.
class LastParent {
 public:
  // Null: it is not that of `file`, or nobody has it any more.
  std::shared_ptr<const ParentDirectory> of(const ClusterPath& file) const;
  std::shared_ptr<const ParentDirectory> found(Fd directory, const ClusterPath& path);
  void forget();

 private:
  mutable std::mutex mutex_;  // guards last_
  std::weak_ptr<const ParentDirectory> last_;
};

}  // namespace skein
