// The directory tree as this mount shows it: the cluster's (cache/directories.h), and over it the
// files of this mount that are not sealed yet. All inode numbers are the kernel's.
//
// Thread-safe. Calls that must ask nodes end within the deadlines of the parts below.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cache/directories.h"
#include "client/download.h"
#include "client/lane_client.h"
#include "client/node_client.h"
#include "client/placement.h"
#include "core/error.h"
#include "discovery/membership.h"
#include "fuse/inode_table.h"
#include "fuse/unsealed.h"

namespace skein {

// What stat(2) shows of an inode, and how long it may be believed.
struct Shown {
  enum class Kind { kDirectory, kSealed, kGrowing, kUnsealed };
  Kind kind = Kind::kSealed;
  struct stat attributes {};
  bool unsized = false;  // grows, and the listing does not tell its size: the owner is to be asked
  Inode inode() const { return attributes.st_ino; }
  std::uint64_t size_bytes() const { return static_cast<std::uint64_t>(attributes.st_size); }
};

// Files below this folder may grow (docs/design.md, "Append"); others, if a listing says so.
bool may_grow(const ClusterPath& path);

class MountedTree {
 public:
  struct Options {
    uid_t uid = 0;
    gid_t gid = 0;
    mode_t umask = 022;
    std::int64_t mounted_s = 0;  // seconds since 1970: the time of the root
    std::chrono::milliseconds deadline{5000};  // of a call that asks nodes one after the other
  };
  struct Parts {
    Directories& directories;
    InodeTable& inodes;
    Unsealed& unsealed;
    NodeClient& client;
    Placement& placement;
    Membership& membership;
    LaneClient* lanes;  // null: no bypass, and no directory can be removed
  };
  MountedTree(const Parts& parts, Options options)
      : parts_(parts), options_(options), finder_(parts.client, parts.membership) {}

  // Errors: no_such_file_or_directory, filename_too_long, host_unreachable, stale (as ESTALE: the
  // parent is gone).
  Result<Shown> lookup(Inode parent, std::string_view name);
  Result<Shown> stat(Inode inode);
  Shown show(const WriteSession& session) const;
  Shown show(const TreeEntry& entry, const ClusterPath* path) const;

  // Is the file at `path` one that grows?
  bool grows(Inode inode, const ClusterPath& path) const;

  // The kernel learns of it in an entry reply.
  void counted(const Shown& shown, Inode parent, std::string_view name);

  // Errors: file_exists, host_unreachable, as the nodes.
  Result<Shown> make_directory(Inode parent, std::string_view name);
  // Takes away an empty directory that this mount made, from all nodes that have it: all have to be
  // on this host, for over the network there is no verb for it. Errors: no_such_file_or_directory,
  // not_a_directory, directory_not_empty; host_unreachable (a node that may have names in it is
  // silent); operation_not_permitted (made by somebody else, or on another host).
  Result<void> remove_directory(Inode parent, std::string_view name);
  // After the seal of own files.
  void sealed(const std::vector<Unsealed::Sealed>& files);

  // Cluster path of a name in a directory, whether it exists or not. Errors: as lookup();
  // operation_not_permitted for the nodes' private folder.
  Result<ClusterPath> path_of(Inode parent, std::string_view name);
  Result<ClusterPath> path_of(Inode inode);
  // Asks the nodes anew if the listing is too old. The nodes whose share is missing or stale.
  Result<std::vector<Node>> refresh(Inode directory);
  // refresh(), but it ends as soon as there are names to be read; see Directories::open().
  using Opening = std::shared_ptr<const Directories::Opening>;
  Result<Opening> open(Inode directory);
  // ShareHeads::version of the stored names; 0 unknown.
  std::uint64_t listing_version(Inode directory);
  // The same of what was read with `opening`, which is not null, to its end.
  std::uint64_t listing_version(const Opening& opening);
  // At most `most` names after `after`, in byte order. `opening` may be null.
  Result<Directories::Names> names(Inode directory, const Opening& opening, std::string_view after,
                                   std::size_t most);
  // A file that the tree believes in was not found.
  void distrust_parent_of(Inode inode);

  // A growing file was made, or is there, under this name.
  Result<Shown> growing(Inode parent, std::string_view name, const ClusterPath& path);
  // An append of this mount made the file so large, or its owner said so: it is shown no smaller,
  // whatever an older listing says.
  void grew(Inode inode, std::uint64_t size_bytes);

 private:
  // The tree's number of a directory, found again by name if the tree gave it up.
  Result<Inode> tree_directory(Inode inode);
  Result<Inode> find_again(Inode inode);

  const Parts parts_;
  const Options options_;
  Downloader finder_;

  // As show(), with the size from the owner if need be. Errors: as Downloader::find(), if this mount
  // never heard of a size.
  Result<Shown> show_sized(const TreeEntry& entry, const Result<ClusterPath>& path);
  off_t grown_size(Inode inode) const;  // of the tree's number; 0 unknown
  // The nodes that have the directory and nothing in it. Errors: as remove_directory().
  Result<NodeList> nodes_to_empty(Inode tree, const ClusterPath& path);

  mutable std::mutex mutex_;  // guards what follows; both by the tree's number
  std::map<Inode, off_t> grown_;
  std::set<Inode> made_;  // directories
};

}  // namespace skein
