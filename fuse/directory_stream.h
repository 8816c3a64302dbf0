// One open directory, read in order: the stored names page by page, as they come if it is listed for
// the first time, then the mount's own unsealed files. Positions are stable while it is open, as
// readdir(3) promises: of a directory that changes meanwhile, names that stay are given exactly once.
// One thread at a time: whoever holds mutex().
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "fuse/mounted_tree.h"

namespace skein {

class DirectoryStream {
 public:
  static constexpr std::size_t kPageNames = 1024;

  DirectoryStream(MountedTree& tree, Inode directory, MountedTree::Opening opening,
                  std::vector<std::pair<std::string, Unsealed::Session>> unsealed);

  struct Item {
    std::string name;
    Shown shown;
  };
  // The item at `position`, counted from 0; nullptr at the end. Valid until the next call. Errors:
  // as MountedTree::names().
  Result<const Item*> at(std::uint64_t position);
  // The reader begins again: positions may stand for other names from now on.
  void rewind();

  Inode directory() const { return directory_; }
  // ShareHeads::version of the names, if they became known while they were read and all of them were
  // read; else 0.
  std::uint64_t read_version() const;
  // No unsealed file was in it when it was opened.
  bool settled() const { return unsealed_.empty(); }
  TimePoint opened() const { return opened_; }
  // Held by the reader over its calls: one descriptor may be read by several threads.
  std::mutex& mutex() { return mutex_; }

 private:
  // Makes the page that holds `position` the current one; false past the end of the stored names.
  Result<bool> load(std::uint64_t position);
  Result<void> load_page(std::size_t page);

  std::mutex mutex_;

  MountedTree& tree_;
  const Inode directory_;
  const MountedTree::Opening opening_;
  const TimePoint opened_ = std::chrono::steady_clock::now();
  bool may_grow_ = false;
  std::vector<std::pair<std::string, Unsealed::Session>> unsealed_;
  Item given_;  // one of unsealed_, as it was when asked for
  std::set<std::string> unsealed_names_;  // given at the end, also if sealed meanwhile

  struct Page {
    std::string after;        // last stored name before this page
    std::uint64_t first = 0;  // position of its first item
  };
  std::vector<Page> pages_;    // those begun so far
  std::size_t current_ = 0;    // index in pages_ of items_; meaningless while !loaded_
  bool loaded_ = false;
  bool last_page_ = false;     // no stored names after items_
  std::vector<Item> items_;
};

}  // namespace skein
