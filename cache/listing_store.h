// One directory of the tree within one transaction: names, places and shares kept in step.
// Used by the tree only; layout in tree_record.h. One thread.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/table_file.h"
#include "cache/tree.h"
#include "cache/tree_record.h"

namespace skein {

inline constexpr std::string_view kNextInodeKey = "next";
inline constexpr std::string_view kFirstInodeKey = "first";  // another one in each new tree
// Names changed in one transaction, about 5 MiB. LMDB keeps the memory of the largest transaction,
// and a writer that waits should not wait for a directory of a million names.
inline constexpr std::size_t kMostChanges = 16384;

// Gives inode numbers out. keep() stores how far it came.
class Numbers {
 public:
  // `highest` is raised to the highest number given or read.
  Numbers(TableFile::Transaction& t, std::atomic<Inode>& highest) : t_(t), highest_(highest) {}
  Inode take();
  void keep();

 private:
  TableFile::Transaction& t_;
  std::atomic<Inode>& highest_;
  Inode next_ = 0;  // 0 = not read yet
};

std::optional<NameRecord> get_name(TableFile::Transaction& t, std::string_view key);
std::vector<StoredShare> read_shares(TableFile::Transaction& t, Inode directory);
ShareHeads read_share_heads(TableFile::Transaction& t, Inode directory);

// Copies directories and the number counter into a new tree. False when they take more than
// `most_bytes`.
bool carry_over(TableFile::Transaction& from, TableFile::Transaction& to, std::uint64_t most_bytes);

class ListingStore {
 public:
  ListingStore(TableFile::Transaction& t, Numbers& numbers, Inode directory)
      : t_(t), numbers_(numbers), directory_(directory) {}

  bool directory_is_known();
  std::uint64_t version();

  TreeEntry put(std::string_view name, const Entry& entry, std::int64_t now_s);
  void remove(std::string_view name);

  // Tree::add_listed().
  void add_listed(std::span<const NamedEntry> names, std::int64_t now_s);

  // Seconds since 1970.
  struct Times {
    std::int64_t now_s = 0;
    std::int64_t asked_s = 0;  // when the nodes were asked
  };
  // Tree::store_listing(), up to about `kMostChanges` changes behind the name `after`.
  struct Step {
    bool kept_unlisted = false;  // names that `merged` lacks were kept
    bool more = false;           // changes are left: go on behind `through`
    std::string through;
  };
  Step replace_names(const Listing& merged, bool complete, const Times& times,
                     std::string_view after);
  void replace_shares(const std::vector<StoredShare>& shares, bool forget_etags);

 private:
  struct Changes;
  Changes compare(const Listing& merged, bool complete, const Times& times,
                  std::string_view after);
  void update(const NamedEntry& listed, NameRecord record);
  void add(const std::vector<const NamedEntry*>& names, std::int64_t now_s);
  void forget(const NameRecord& record);
  void write_pieces(std::uint16_t slot, const Listing& listing);

  TableFile::Transaction& t_;
  Numbers& numbers_;
  const Inode directory_;
};

}  // namespace skein
