// The new files of this mount that are not sealed yet, by where they stand in the tree: who writes
// them, when they are sealed, renamed or dropped.
//
// A file is sealed when its last writer has closed it. One with the name of a temporary file is
// left unsealed for kTemporaryLinger longer, because its maker is about to rename it (rsync, most
// savers): after the seal a name stays what it is.
//
// A sealed file stays in this set for some milliseconds more, until the tree has learnt of it together
// with others (gathered.h).
//
// Thread-safe. Directories are the kernel's inode numbers. Sealing happens in the thread that
// closed the file, or in one of this object's own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "cache/tree.h"
#include "core/clock.h"
#include "core/error.h"
#include "fuse/gathered.h"
#include "fuse/write_session.h"

namespace skein {

// By the habits of rsync, git, zip, SQLite, editors, browsers and of tools that write "x.tmp"
// before "x".
bool is_temporary_name(std::string_view name);

class Unsealed {
 public:
  // Less than the time after which others may expect to see a closed file (docs/design.md).
  static constexpr std::chrono::milliseconds kTemporaryLinger{2000};
  // How long an open() waits for the close() that came just before it, possibly, to be finished.
  static constexpr std::chrono::milliseconds kClosingPatience{50};

  struct Place {
    Inode directory = 0;
    std::string name;
    auto operator<=>(const Place&) const = default;
  };
  using Session = std::shared_ptr<WriteSession>;
  struct Sealed {
    Session session;
    Place place;
    std::uint64_t size_bytes = 0;
  };
  // Files were sealed; called before they leave this set, so that they are never invisible. Never
  // twice at a time.
  using OnSealed = std::function<void(const std::vector<Sealed>&)>;

  struct Options {
    std::chrono::milliseconds deadline{5000};  // for waiting on a seal that is under way
    bool seal_on_kill = false;
    std::chrono::milliseconds linger = kTemporaryLinger;
  };
  Unsealed(Options options, OnSealed on_sealed);
  ~Unsealed();  // as end(kForced)

  // Null: no such file here.
  Session find(const Place& place) const;
  Session find(Inode inode) const;  // a private one (inode_table.h), or there is none
  // False for one that was unlinked: nobody will ask for its bytes again.
  bool contains(const Session& session) const;
  std::vector<std::pair<std::string, Session>> in_directory(Inode directory) const;

  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return records_.size();
  }

  // Waits while the file is being sealed, or probably is about to be. True: it has left this set.
  bool wait_if_closing(const Session& session);

  // Adds a file with one writer. Errors: file_exists.
  Result<void> add(const Place& place, const Session& session);
  // One more writer. Errors: operation_not_permitted: it is being sealed or has been.
  Result<void> add_writer(const Session& session);
  // A close() of a writer that dies by a signal, or (false) one that does not.
  void note_killed(const Session& session, bool killed);
  // One writer fewer; after the last one the file is sealed, kept for the linger, or dropped.
  void close_writer(const Session& session);

  // Takes the name away; the bytes go with the last writer. Errors: no_such_file_or_directory,
  // operation_not_permitted (being sealed).
  Result<void> remove(const Place& place);
  // `to_path` is the cluster path of `to`. A file that has no writers is made safe under its new
  // name, and sealed unless the name is a temporary one. Errors: no_such_file_or_directory,
  // operation_not_permitted, file_exists and others of WriteSession::flush(): then nothing changed.
  Result<void> rename(const Place& from, const Place& to, const ClusterPath& to_path);

  // Before a forced end: waits for the close() calls that were answered and whose second half, the
  // release, is still on its way; also, in vain, for files whose descriptor has living duplicates.
  void wait_for_closes(Deadline deadline);
  // The mount ends. kAllClosed: nothing is open any more, so every file is sealed but those of
  // killed writers. kForced: files that are still being written go to recover/.
  enum class End { kAllClosed, kForced };
  void end(End how);

 private:
  struct Record {
    Session session;
    int writers = 0;
    bool sealing = false;
    bool held = false;  // being renamed: neither sealed nor removed meanwhile
    bool killed = false;   // its last flush came from a dying writer
    TimePoint due = TimePoint::max();  // when a file without writers is sealed
    TimePoint due_unless_held() const { return held || sealing ? TimePoint::max() : due; }
  };
  using Records = std::map<Place, Record>;

  // Gives the right moment for sealing a file without writers. Precondition: the lock is held.
  // True: at once, and the caller is to call seal().
  bool schedule(const Place& place, Record& record) const;
  Records::iterator locate(const Session& session);
  // Precondition: the record's `sealing` is set by the caller, under the lock.
  Result<void> seal(const Session& session);
  void noted(const std::vector<Sealed>& sealed);
  Result<void> move_held(const Session& session, const Place& to, const ClusterPath& to_path);
  void run_linger(std::stop_token stop);

  const Options options_;
  const OnSealed on_sealed_;

  mutable std::mutex mutex_;  // guards everything below; not held while a session is asked to act
  std::condition_variable changed_;          // for who waits until a file is sealed or gone
  std::condition_variable_any due_changed_;  // for the linger thread: it sleeps through all else
  Records records_;
  std::map<const WriteSession*, int> nameless_;  // removed, with writers still

  Gathered<Sealed> sealed_;  // in the tree soon, then gone from here
  std::jthread linger_thread_;
};

}  // namespace skein
