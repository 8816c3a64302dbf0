// The merged tree as this host last saw it, in LMDB: shared by the mount and the tools of one user,
// kept across restarts, bounded, and rebuilt without harm when deleted or damaged.
//
// Inode numbers are given here and kept: 1 is the root; a number is never given twice, not even
// after the tree was begun anew (it then counts on from the host's clock). A name keeps its number
// until a listing without it is stored, a file becomes a directory or back, or the tree is begun
// anew. Beginning anew because of max_bytes keeps directories and their numbers (if they alone do
// not fill a quarter of it) and forgets files: so a holder of live inode numbers (the mount) keeps
// name and parent of each file it handed out, and takes "unknown" for "look it up again".
//
// Keys: (directory inode, name), because LMDB keys end at 511 bytes. Thread-safe; several processes
// may have it open. No call waits longer than about 2 s for another process. When the disk is full
// or fails, the process goes on with a tree of its own in memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/entry.h"
#include "core/error.h"
#include "core/listing.h"

namespace skein {

using Inode = std::uint64_t;
inline constexpr Inode kRootInode = 1;

struct TreeEntry {
  Inode inode = 0;
  Entry entry;               // type bits and size
  std::int64_t seen_s = 0;   // seconds since 1970 when first seen: shown as mtime if none is known
  bool operator==(const TreeEntry&) const = default;
};

struct NamedTreeEntry {
  std::string name;
  TreeEntry entry;
};

// One node's last share of a directory.
struct StoredShare {
  std::string node_key;
  std::string etag;
  Listing listing;
  bool operator==(const StoredShare&) const = default;
};

// What to send along when asking again. `version` changes with each store_listing() and when the
// tree was begun anew; 0 = nothing is stored. No version comes twice.
struct ShareHeads {
  std::uint64_t version = 0;
  std::map<std::string, std::string> etags;  // by node key
};

class Tree {
 public:
  struct Options {
    std::filesystem::path folder;       // made if absent (mode 0700)
    std::string cluster;                // one tree per cluster, in a folder of its own
    std::uint64_t max_bytes = 1 << 30;  // beyond it the tree is begun anew, see above
    std::function<std::int64_t()> now_s;  // seconds since 1970; empty = the system's clock
  };
  // A damaged file is moved aside (".damaged") and a new one begun. At most one Tree per process
  // and cluster, opened after any fork. Errors: as open(2); timed_out.
  static Result<std::unique_ptr<Tree>> open(const Options& options);
  virtual ~Tree() = default;

  virtual std::optional<TreeEntry> lookup(Inode directory, std::string_view name) = 0;
  // Where an inode hangs: parent and name; nullopt for the root and unknown inodes.
  struct Place {
    Inode parent = 0;
    std::string name;
  };
  virtual std::optional<Place> place(Inode inode) = 0;

  // Errors of the changes: no_such_file_or_directory (the directory's inode is unknown);
  // filename_too_long, invalid_argument (no name); timed_out; as write(2).

  // Adds or updates one name and gives its inode. A new one counts as just written here: see
  // store_listing().
  virtual Result<TreeEntry> put(Inode directory, std::string_view name, const Entry& entry) = 0;
  // put() of many names in one change, which costs little more than that of one. In their order;
  // nullopt for a name that put() would refuse.
  struct NewName {
    Inode directory = 0;
    std::string name;
    Entry entry;
  };
  virtual Result<std::vector<std::optional<TreeEntry>>> put_all(
      std::span<const NewName> names) = 0;
  // With everything below it. No error if the name is unknown.
  virtual Result<void> remove(Inode directory, std::string_view name) = 0;

  struct StoreOptions {
    // False: some node did not answer, so that a name put here may be on it.
    bool complete = true;
    // Since the nodes were asked.
    std::chrono::seconds age{0};
    // Version of share_heads() when the nodes were asked. If somebody stored since then, what they
    // stored may be newer: error resource_unavailable_try_again, the shares stay as they are.
    // (Without it, the same error if that happens in the middle of a very large listing.)
    std::optional<std::uint64_t> expected_version;
  };
  // Replaces the directory's names by `merged` (inodes of names that stay are kept; of names that
  // go are given up) and stores the shares it was merged from. Where a name is both file and
  // directory the directory wins. Only differences to what is stored are written; of very many,
  // some may be visible before the others.
  //
  // A name put() here less than 5 s before the nodes were asked, or after it, and never listed stays
  // although `merged` lacks it, because the listing may be older than the write; the ETags are then
  // stored as "", so that the nodes are asked in full once more. Without `complete` it stays in any
  // case.
  virtual Result<void> store_listing(Inode directory, const Listing& merged,
                                     const std::vector<StoredShare>& shares,
                                     const StoreOptions& options) = 0;
  Result<void> store_listing(Inode directory, const Listing& merged,
                             const std::vector<StoredShare>& shares) {
    return store_listing(directory, merged, shares, StoreOptions{});
  }
  // Of a listing that is not at its end: adds and updates these names, sorted as in a Listing, as
  // store_listing() will, and takes none away.
  virtual Result<void> add_listed(Inode directory, std::span<const NamedEntry> names) = 0;
  virtual Result<std::vector<StoredShare>> shares(Inode directory) = 0;
  virtual Result<ShareHeads> share_heads(Inode directory) = 0;

  // Names after `after` ("" = from the start) in byte order, at most `most`.
  virtual Result<std::vector<NamedTreeEntry>> names(Inode directory, std::string_view after,
                                                    std::size_t most) = 0;

  // Bytes of the file.
  virtual std::uint64_t size_bytes() = 0;
};

// The folder of one cluster's tree below Options::folder.
std::filesystem::path tree_folder(const std::filesystem::path& folder, const std::string& cluster);

}  // namespace skein
