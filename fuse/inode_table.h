// The inode numbers the kernel knows, and what they stand for.
//
// A number is the tree's own (cache/tree.h) wherever possible, so most files need no memory here.
// Kept are only those the tree cannot answer for alone:
//  - directories, with parent and name: when the tree gives a number up (a node left and came
//    back), a shell standing in the directory goes on under the number it knows;
//  - own new files, which the tree does not know before the seal: they get a private number, and
//    keep it after the seal for as long as the kernel remembers them. The last kMostForgotten that
//    it forgot are kept, too: a reply that was made before the seal may still name one.
//
// Lookup counts follow the kernel's rule: each entry reply counts one, forget() takes them back.
// Thread-safe; never calls out.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cache/tree.h"

namespace skein {

// Private numbers begin here; the tree counts up from 1 and never gets this far.
inline constexpr Inode kFirstPrivateInode = Inode{1} << 62;
inline bool is_private_inode(Inode inode) { return inode >= kFirstPrivateInode; }

class InodeTable {
 public:
  static constexpr std::size_t kMostForgotten = 1024;

  struct Directory {
    Inode parent = 0;  // the kernel's number
    std::string name;
    Inode tree = 0;
  };

  // A number for a file that is being created.
  Inode new_private();

  // The kernel's number of what the tree calls `tree`.
  Inode kernel_number(Inode tree) const;
  // The tree's number of what the kernel calls `inode`; nullopt for an own file before its seal.
  std::optional<Inode> tree_number(Inode inode) const;
  std::optional<Directory> directory(Inode inode) const;

  // One entry reply named the inode. A directory is remembered with its place from then on.
  void counted(Inode inode);
  void counted_directory(Inode inode, Inode parent, std::string_view name);
  // The private file `inode` is sealed and known to the tree as `tree`; or: the directory `inode`
  // was found again under another tree number.
  void bind(Inode inode, Inode tree);
  void forget(Inode inode, std::uint64_t count);

  std::size_t size() const;

 private:
  struct Known {
    std::uint64_t count = 0;
    Directory place;  // parent 0 for a file; tree 0 before the seal
  };
  using KnownOnes = std::unordered_map<Inode, Known>;
  // Precondition of both: the lock is held.
  void keep_forgotten(Inode inode);
  void erase(KnownOnes::iterator known);

  mutable std::mutex mutex_;  // guards everything below
  Inode next_private_ = kFirstPrivateInode;
  KnownOnes known_;                              // by the kernel's number
  std::unordered_map<Inode, Inode> renumbered_;  // tree's number -> kernel's, where they differ
  std::deque<Inode> forgotten_;  // sealed files with count 0, or that had it; the oldest first
};

}  // namespace skein
