#include "client/unranged_reads.h"

#include <algorithm>

namespace skein {

void UnrangedReads::drop_unused(std::vector<std::unique_ptr<Half>>& dropped) {
  const TimePoint now = std::chrono::steady_clock::now();
  while (!halves_.empty() && now - halves_.front()->since > kUnusedFor) {
    dropped.push_back(std::move(halves_.front()));
    halves_.erase(halves_.begin());
  }
}

std::optional<UnrangedReads::Half> UnrangedReads::take(const NodeAddress& address,
                                                       const std::string& target,
                                                       std::uint64_t offset) {
  std::vector<std::unique_ptr<Half>> dropped;  // closed after the lock is released
  const std::lock_guard lock(mutex_);
  drop_unused(dropped);
  const auto found = std::find_if(halves_.begin(), halves_.end(), [&](const auto& half) {
    return half->next <= offset && offset - half->next <= kMostSkippedBytes &&
           half->address == address && half->target == target;
  });
  if (found == halves_.end()) return std::nullopt;
  std::optional<Half> half(std::move(**found));
  halves_.erase(found);
  half->exchange.resume();
  return half;
}

void UnrangedReads::keep(Half half) {
  std::vector<std::unique_ptr<Half>> dropped;  // closed after the lock is released
  half.since = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  drop_unused(dropped);
  if (halves_.size() >= kMost) {
    dropped.push_back(std::move(halves_.front()));
    halves_.erase(halves_.begin());
  }
  halves_.push_back(std::make_unique<Half>(std::move(half)));
}

}  // namespace skein
