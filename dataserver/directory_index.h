// Listings as JSON text (docs/wire.md, "Directory listing"), kept per directory, so that an
// unchanged directory of 100,000 frames costs one statx(2), and one more frame costs one line.
//
// A cached listing is believed while the directory's mtime, inode and device are those of its scan.
// What the server publishes is added in place. What others do is found:
//  - names put in or taken out by hand: at once, by the mtime; if it happened in the same moment as
//    a publish, within kPatchedTrust;
//  - torn files that were mended by hand: within kPatchedTrust;
//  - sizes of files that grow, counts and flags of directories: within kPartsTrust;
//  - sizes of old files that somebody writes to again: within kWritableTrust.
// Cached directories hold at most `max_entries` names together; the least recently used go first.
// Thread-safe; a directory is scanned by one thread at a time, others wait for its result.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/clock.h"
#include "core/entry.h"
#include "core/error.h"
#include "core/path.h"
#include "dataserver/beneath.h"
#include "dataserver/directory_scan.h"
#include "dataserver/listing_follower.h"

namespace skein {

class DirectoryIndex {
 public:
  static constexpr std::chrono::seconds kPatchedTrust{10};
  static constexpr std::chrono::milliseconds kPartsTrust{800};
  static constexpr std::chrono::seconds kWritableTrust{30};

  // `root` is borrowed. `clock` drives the three trust times. Who finds a file torn after a scan
  // says so by changed().
  DirectoryIndex(int root, std::size_t max_entries, IsTorn is_torn, Clock clock = real_clock());

  struct View {
    std::shared_ptr<const std::string> json;
    std::string etag;  // with its quotes; equal for equal text while this server runs
  };
  // `follower` may be null. One that was begun has all of the listing when this returns, in another
  // order than the view. Errors: no_such_file_or_directory, not_a_directory, permission_denied,
  // others as open(2); timed_out (another thread's scan of this directory does not end).
  Result<View> listing(const ClusterPath& path, ListingFollower* follower = nullptr);

  // A file was published at `path`, whose parent is open as `directory`; `began` was taken before
  // the name appeared.
  static TimePoint now() { return std::chrono::steady_clock::now(); }
  void added(const ClusterPath& path, std::uint64_t size_bytes, int directory, TimePoint began);

  // A directory was made at `path`, or one of its parents was. added() believes the directory's mtime
  // of afterwards, so nothing else would tell that a listing from before lacks it.
  void made_directory(const ClusterPath& path);

  // Something else than a publish happened to the file at `path`: it began or ceased to grow, was
  // taken away, found torn, or grows again after a pause.
  void changed(const ClusterPath& path);

  std::size_t cached_entries() const;

 private:
  struct Cached;
  using Order = std::list<std::string>;

  std::shared_ptr<Cached> cached(const std::string& key, bool make);
  bool wait_for_scan(Cached& cached, ListingFollower* follower, std::unique_lock<std::mutex>& lock);
  void scan_into(Cached& cached, const ClusterPath& path, int directory, const Found& found,
                 ListingFollower* follower, std::unique_lock<std::mutex>& lock);
  void refresh_parts(Cached& cached, int directory, std::unique_lock<std::mutex>& lock);
  View view_of(Cached& cached);
  std::string etag_of(const Found& directory, std::uint64_t generation) const;
  void make_room();

  const int root_;
  const std::size_t max_entries_;
  const IsTorn is_torn_;
  const Clock clock_;
  const std::string etag_prefix_;  // differs from run to run
  std::atomic<std::uint64_t> generations_ = 0;

  mutable std::mutex mutex_;  // guards the map, the order and the total; taken before Cached::mutex
  std::unordered_map<std::string, std::shared_ptr<Cached>> directories_;  // by path text
  Order least_recent_first_;
  std::size_t total_entries_ = 0;
};

}  // namespace skein
