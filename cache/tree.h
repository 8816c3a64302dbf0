// The merged tree as this host last saw it, in LMDB: shared by the mount and the tools of one user,
// kept across restarts, bounded, and rebuilt without harm when deleted or damaged.
//
// Inode numbers are given here and kept: 1 is the root; a number is never given twice. A name that
// was seen as a sealed file keeps its size for ever; only absence, listings and growing files age.
//
// Keys: (directory inode, name), because LMDB keys end at 511 bytes. lmdb.h is included by the
// tree's source only. Thread-safe; several processes may have it open.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
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

class Tree {
 public:
  struct Options {
    std::filesystem::path folder;       // made if absent (mode 0700)
    std::string cluster;                // one tree per cluster, in a file of its own
    std::uint64_t max_bytes = 1 << 30;  // beyond it, everything but inode numbers in use is dropped
  };
  // A damaged file is moved aside (".damaged") and a new one begun. Errors: as open(2).
  static Result<std::unique_ptr<Tree>> open(const Options& options);
  virtual ~Tree() = default;

  virtual std::optional<TreeEntry> lookup(Inode directory, std::string_view name) = 0;
  // Where an inode hangs: parent and name; nullopt for the root and unknown inodes.
  struct Place {
    Inode parent = 0;
    std::string name;
  };
  virtual std::optional<Place> place(Inode inode) = 0;

  // Adds or updates one name and gives its inode.
  virtual Result<TreeEntry> put(Inode directory, std::string_view name, const Entry& entry) = 0;
  virtual Result<void> remove(Inode directory, std::string_view name) = 0;

  // Replaces the directory's names by `merged` (inodes of names that stay are kept; of names that
  // go are given up) and stores the shares it was merged from.
  virtual Result<void> store_listing(Inode directory, const Listing& merged,
                                     const std::vector<StoredShare>& shares) = 0;
  virtual Result<std::vector<StoredShare>> shares(Inode directory) = 0;

  // Names after `after` ("" = from the start) in byte order, at most `most`.
  virtual Result<std::vector<NamedTreeEntry>> names(Inode directory, std::string_view after,
                                                    std::size_t most) = 0;
};

}  // namespace skein
