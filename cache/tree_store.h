// Keeps the tree's file usable whatever happens to it: deleted, damaged, cut short, too big, its
// disk full or the machine's power cut. It is a copy of what the nodes know, so the cure is always
// the same: begin a new file, and let the nodes be asked again.
//
// In the folder:
//   tree.mdb, tree.mdb-lock   LMDB's
//   tree.mdb.damaged          the last file that was given up, for a person to look at
//   lock                      lock_file.h
//   state                     "open <boot id>" while in use; "closed <inode> <bytes> <mtime ns>"
//                             after the last process synced and closed it
// A file is trusted at once if it is as it was closed, or if another process has it open; after a
// crash of a process (same boot id) every page is walked in a child process first; after a crash
// of the machine, or when changed by something else, it is set aside.
//
// Does not help: bytes scrawled over in place while a process has the file mapped may end that
// process (LMDB reads pages where they lie); the next start finds out.
//
// Thread-safe. Open it once per process, after any fork.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "cache/lock_file.h"
#include "cache/table_file.h"
#include "core/clock.h"
#include "core/error.h"

namespace skein {

class TreeStore {
 public:
  using Transaction = TableFile::Transaction;
  using Work = TableFile::Work;

  struct Options {
    std::filesystem::path folder;  // of this tree alone; made if absent (mode 0700)
    std::uint64_t max_bytes = 0;   // the file is begun anew before a change when it is bigger
    std::string schema;            // a file of another schema is begun anew
    // Fills a new file.
    Work begin;
    // Takes over what must outlive the old file; false = too much, begin empty.
    std::function<bool(Transaction& old_file, Transaction& new_file)> carry_over;
  };
  // Errors: as open(2); timed_out (another process is in the middle of a long change).
  static Result<std::unique_ptr<TreeStore>> open(Options options);
  ~TreeStore();

  // `work` may run several times, each time on a file in a sound state; what the last run read or
  // wrote holds. Errors: what `work` gave up with; timed_out; as open(2) and write(2) when even a
  // new file in memory (used when the disk is full) could not be made.
  Result<void> read(const Work& work);
  // kLater: a file that is too big is not begun anew now, because `work` goes on with what it wrote
  // before.
  enum class Bound { kNow, kLater };
  Result<void> write(const Work& work, Bound bound = Bound::kNow);

  std::uint64_t size_bytes() const { return current()->file->size_bytes(); }

 private:
  // A file in use. `lock` is null for one in memory.
  struct Generation {
    std::shared_ptr<LockFile> lock;
    std::unique_ptr<TableFile> file;
  };
  enum class Why { kOpen, kDamaged, kTooBig, kDiskTrouble };

  explicit TreeStore(Options options) : options_(std::move(options)) {}
  std::shared_ptr<Generation> current() const;
  std::filesystem::path data() const { return options_.folder / "tree.mdb"; }
  bool replaced(const Generation& at) const;

  // One change or exchange of the file at a time in this process, with a deadline. (Not a timed
  // mutex: thread sanitizers of our compilers do not know its lock call.)
  class Turn {
   public:
    Turn(TreeStore& store, Deadline deadline);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    bool got() const { return got_; }

   private:
    TreeStore& store_;
    bool got_ = false;
  };

  // All below: in a Turn, or nobody else knows this object yet.
  Result<void> mend(const std::shared_ptr<Generation>& broken, Why why, Deadline deadline);
  Result<void> mend_locked(const std::shared_ptr<Generation>& broken, Why why,
                           const std::shared_ptr<LockFile>& lock);
  Result<void> move_to_memory();
  Result<std::unique_ptr<TableFile>> open_sound();
  Result<bool> schema_holds(TableFile& file);
  bool trusted() const;
  void set_aside() const;
  void remove_file() const;
  void write_state(const std::string& text) const;

  const Options options_;

  mutable std::mutex mutex_;  // guards everything below, never held across a call
  std::shared_ptr<Generation> current_;
  bool turn_taken_ = false;
  std::condition_variable turn_over_;
};

}  // namespace skein
