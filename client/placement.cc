#include "client/placement.h"

namespace skein {

Result<Node> Placement::choose(const NodeList& alive, const std::set<std::string>& excluded) {
  const std::lock_guard lock(mutex_);
  const Node* best = nullptr;
  TimePoint best_written{};
  for (const Node& node : alive) {
    if (excluded.contains(node.key())) continue;
    const auto found = last_written_.find(node.key());
    const TimePoint written = found == last_written_.end() ? TimePoint::min() : found->second;
    if (best == nullptr || written < best_written) {
      best = &node;
      best_written = written;
    }
  }
  if (best == nullptr) return Error{std::errc::host_unreachable, "no node left to write to"};
  last_written_[best->key()] = now_();
  return *best;
}

}  // namespace skein
