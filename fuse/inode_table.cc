#include "fuse/inode_table.h"

#include <algorithm>

namespace skein {

Inode InodeTable::new_private() {
  const std::lock_guard lock(mutex_);
  return next_private_++;
}

Inode InodeTable::kernel_number(Inode tree) const {
  const std::lock_guard lock(mutex_);
  const auto found = renumbered_.find(tree);
  return found == renumbered_.end() ? tree : found->second;
}

std::optional<Inode> InodeTable::tree_number(Inode inode) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(inode);
  if (found != known_.end() && found->second.place.tree != 0) return found->second.place.tree;
  if (is_private_inode(inode)) return std::nullopt;
  return inode;
}

std::optional<InodeTable::Directory> InodeTable::directory(Inode inode) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(inode);
  if (found == known_.end() || found->second.place.parent == 0) return std::nullopt;
  return found->second.place;
}

void InodeTable::counted(Inode inode) {
  if (!is_private_inode(inode)) return;
  const std::lock_guard lock(mutex_);
  ++known_[inode].count;
}

void InodeTable::counted_directory(Inode inode, Inode parent, std::string_view name) {
  const std::lock_guard lock(mutex_);
  Known& known = known_[inode];
  ++known.count;
  known.place.parent = parent;
  known.place.name = name;
  if (known.place.tree == 0) known.place.tree = inode;
}

void InodeTable::bind(Inode inode, Inode tree) {
  const std::lock_guard lock(mutex_);
  auto found = known_.find(inode);
  if (found == known_.end()) {
    if (!is_private_inode(inode)) return;
    found = known_.try_emplace(inode).first;
    keep_forgotten(inode);
  }
  Directory& place = found->second.place;
  if (place.tree != 0) renumbered_.erase(place.tree);
  place.tree = tree;
  if (tree != inode) renumbered_[tree] = inode;
}

void InodeTable::forget(Inode inode, std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(inode);
  if (found == known_.end()) return;
  found->second.count -= std::min(count, found->second.count);
  if (found->second.count > 0) return;
  if (is_private_inode(inode) && found->second.place.tree != 0) return keep_forgotten(inode);
  erase(found);
}

void InodeTable::keep_forgotten(Inode inode) {
  forgotten_.push_back(inode);
  if (forgotten_.size() <= kMostForgotten) return;
  const auto oldest = known_.find(forgotten_.front());
  forgotten_.pop_front();
  if (oldest != known_.end() && oldest->second.count == 0) erase(oldest);
}

void InodeTable::erase(KnownOnes::iterator known) {
  const auto renumbered = renumbered_.find(known->second.place.tree);
  if (renumbered != renumbered_.end() && renumbered->second == known->first) {
    renumbered_.erase(renumbered);
  }
  known_.erase(known);
}

std::size_t InodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return known_.size();
}

}  // namespace skein
