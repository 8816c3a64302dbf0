// Directories of the cluster as a caller sees them: the stored tree while it is trusted, refreshed
// from all nodes at once when it is not. One refresh per directory at a time: others wait for it.
// A silent node keeps its last share, and the directory is marked incomplete.
//
// Positive facts about sealed files do not age; a name not in a trusted listing does not exist.
// Trust is this process's own and ends when the membership changes. It counts from the moment the
// nodes were asked; with a silent node among them from the last answer, or it would be over before
// it began.
//
// A node's last share is kept while the node is silent, set aside or not proven yet. It is dropped
// when the node says it has no such directory, and when no source of the membership names the node
// any more: it was stopped in good order. (If this process never saw it alive, only after 10 s:
// discovery may not be through.)
//
// A listing that a node needs time for is brought to its end by a thread of its own, beyond the call
// that began it: names of a directory that is listed for the first time are shown as they become
// final (open(), names()), and one name of it is asked for by itself (lookup()).
//
// Thread-safe. A call that asks the nodes ends within about the client's timeout, plus 4 s for
// others that are in the middle of a change of the tree; with ten listings under way that nodes need
// time for, the next call waits for its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/background_threads.h"
#include "cache/tree.h"
#include "client/node_client.h"
#include "client/union_listing.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"
#include "discovery/membership.h"

namespace skein {

class Directories {
 public:
  // tail -f looks every second, and is to show what was appended within 3 s.
  static constexpr std::chrono::milliseconds kGrowingTrust{1250};

  struct Options {
    std::chrono::milliseconds listing_trust{2500};  // at most kGrowingTrust where files grow
    Clock now = real_clock();
  };
  // The references outlive it.
  Directories(Tree& tree, NodeClient& client, Membership& membership, Options options);
  ~Directories();

  // The entry of `name` in `directory`. Known sealed files are answered from the tree without
  // asking. What is known is also the answer when no node answers. Errors:
  // no_such_file_or_directory; host_unreachable (unknown, and no node answered); as refresh().
  Result<TreeEntry> lookup(Inode directory, std::string_view name);

  // Makes the stored names of the directory no older than the trust time, asking if need be.
  // Returns the nodes whose share is stale or missing (empty = complete). Errors:
  // no_such_file_or_directory, not_a_directory; host_unreachable if nothing is known and nobody
  // answered; timed_out; as Tree's changes.
  Result<std::vector<Node>> refresh(Inode directory);

  // refresh(), but it ends as soon as the first names are there. null: all names are stored.
  class Opening;
  Result<std::shared_ptr<const Opening>> open(Inode directory);
  struct Names {
    std::vector<NamedTreeEntry> names;
    bool more = false;  // there may be names behind the last one
  };
  // Names after `after` ("" = from the start) in byte order, at most `most`; those that are stored
  // while the directory is opened are waited for. Errors: as refresh().
  Result<Names> names(Inode directory, const std::shared_ptr<const Opening>& opening,
                      std::string_view after, std::size_t most);
  // ShareHeads::version of what names() has given with `opening` (not null) to its end; 0 unless
  // all of it came to be stored.
  std::uint64_t version_of(const Opening& opening) const;

  // Cluster path of an inode, from the tree. Errors: no_such_file_or_directory (stale).
  Result<ClusterPath> path_of(Inode inode);

  // Own writes are visible at once, and stay so although a listing under way lacks them.
  Result<TreeEntry> note_created(Inode directory, std::string_view name, const Entry& entry);
  Result<std::vector<std::optional<TreeEntry>>> note_all_created(
      std::span<const Tree::NewName> names);
  // The next lookup or refresh asks the nodes for the whole listing, and believes it about sealed
  // files too: for a file that was seen and cannot be opened.
  void distrust(Inode directory);
  // Listings are asked for again; sealed files stay known.
  void distrust_all();

  Tree& tree() { return tree_; }

 private:
  struct Directory;
  struct State;
  struct Trust;
  class Task;
  using Enough = std::function<bool(const Opening&)>;

  void notice_membership();
  std::shared_ptr<Directory> known_directory(Inode inode);
  Trust trust_in(Inode inode, const Directory& directory);
  bool may_grow(Inode inode, Directory& directory);
  Result<ClusterPath> directory_path(Inode inode);  // not_a_directory if it is a file
  bool has_left(const std::string& node_key);
  struct Awaited;
  Result<Awaited> await(Inode inode, const std::shared_ptr<Directory>& directory,
                        const Enough& enough);
  Result<std::vector<Node>> refresh(Inode inode, const std::shared_ptr<Directory>& directory);
  void ask(std::unique_ptr<Task> task);
  Result<TreeEntry> ask_for(Inode inode, std::string_view name);

  Tree& tree_;
  NodeClient& client_;
  Membership& membership_;
  const Options options_;
  const std::unique_ptr<State> state_;
  // Last: they end before what they use. A directory of a million names that is not in memory takes
  // a disk some ten seconds.
  BackgroundThreads long_refreshes_{10};
};

}  // namespace skein
