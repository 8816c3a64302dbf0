// One new file of this mount, from its creation to the seal: an ordinary private file with random
// access, which no one but this mount sees. Its bytes lie on the disk of a node of this host, when
// placement picks such a node (client/lane_client.h), else in the spool; what is written there in
// order is sent to a stage of the node meanwhile, by a thread of the session's own.
//
// What arrives where: flush() is called by every close() and fsync() of a writer, makes the bytes
// safe on the target and reports what can be known then: the name is taken, no space, no node
// reachable. seal() comes after the last close and can tell nobody: when it fails, the bytes go to
// the spool's recover/ folder and the log says so.
//
// Thread-safe where not said otherwise. No lock is held while a node is asked: flush() and seal()
// of one file wait for each other by a flag, at most as long as the other one makes progress.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "cache/tree.h"
#include "client/lane_client.h"
#include "core/error.h"
#include "core/fd.h"
#include "core/path.h"
#include "fuse/ready_stages.h"
#include "fuse/remote_target.h"
#include "fuse/spool.h"
#include "fuse/unsent_bytes.h"

namespace skein {

class WriteSession {
 public:
  // Files that are sent while they are written, at one time: each holds a thread and a connection.
  // Others are sent when they are closed.
  static constexpr int kMostSenders = 16;

  struct Parts {
    LaneClient* lanes;  // null: no bypass, everything through the spool and HTTP
    ReadyStages* stages;  // of these lanes; null with them
    RemoteTarget::Cluster cluster;
    Spool& spool;
    std::atomic<int>& senders;  // running now
  };
  // Chooses the node. Errors: host_unreachable (no node alive), file_exists (a node of this host
  // has the name), as Spool::create().
  static Result<std::shared_ptr<WriteSession>> begin(const Parts& parts, const ClusterPath& path,
                                                     Inode inode);
  ~WriteSession();

  Inode inode() const { return inode_; }
  ClusterPath path() const;
  // It was renamed before its seal. Not while seal() runs.
  void aim_at(const ClusterPath& path);

  // The private file: read-write, at any offset, from any thread. Invalid once seal() has begun.
  int fd() const { return fd_; }
  // A read-only descriptor that outlives the seal.
  Result<Fd> open_reader() const;
  // Size and time as they are; after the seal as they were then.
  Result<struct stat> status() const;
  // The bytes lie on a node of this host: the kernel may read and write them itself.
  bool is_node_local() const { return node_local_; }

  // Makes sure that the spool's bound allows the file to reach `end`. Errors: no_space_on_device.
  Result<void> allow_size(std::uint64_t end);
  // Bytes are about to change, by this mount.
  void changed() {
    ++version_;
    flushed_ = closing_ = false;
  }
  // These have changed.
  void wrote(std::uint64_t begin, std::uint64_t end);
  // So may have all from `begin` to the end.
  void rewrote(std::uint64_t begin);
  // A write into it failed, or the node's disk is so full that one may have, and its writer was told:
  // what there is now is not what was meant. flush() says so again, and the file is not to be sealed,
  // unless the writer truncates it and goes on.
  void write_failed(std::errc code) { failure_ = static_cast<int>(code); }
  void truncated(std::uint64_t size_bytes);
  bool has_failed() const { return failure_ != 0; }

  // Nothing was written since the last flush() or sync().
  bool is_flushed() const { return flushed_; }
  // Nor since the last flush(): its writer is likely just closing it.
  bool is_closing() const { return closing_; }

  // For a close(). Errors: file_exists, no_space_on_device, host_unreachable, timed_out, io_error.
  Result<void> flush();
  // For an fsync(): the same, and the private file's own disk was told to keep the bytes.
  Result<void> sync();
  // Publishes; afterwards the session is over. The size in bytes. On an error the bytes are in
  // recover/, or the error says that not even this worked.
  Result<std::uint64_t> seal();
  // The bytes go to recover/ unsealed, because of `why`; the session is over.
  Result<void> keep(const std::string& why);
  // Forgets the bytes; the session is over. For unlinked files and writers that were killed.
  void drop();

 private:
  class Turn;  // the right to talk to nodes about this file, asked for before the sender's next one
  WriteSession(const Parts& parts, ClusterPath path, Inode inode, std::optional<Node> node);

  Result<void> make_safe();
  Result<void> check_name_is_free(const ClusterPath& path, const std::string& target_key);
  Result<void> flush_remote(const ClusterPath& path);
  Result<void> stage_remote(const ClusterPath& path);
  void start_sender();
  void send_ahead(const std::stop_token& stop);
  Result<void> seal_lane(const ClusterPath& path);
  Result<void> seal_remote(const ClusterPath& path);
  Result<FileRange> bytes() const;
  RecoveryNote note_of(const ClusterPath& name, const std::string& why) const;
  Result<void> keep_for_good(const std::string& why);
  void finish();

  const Parts parts_;
  const Inode inode_;
  const std::string recovery_id_;
  bool node_local_ = false;                 // from begin() on
  std::unique_ptr<LaneClient::Stage> lane_;  // null: spooled
  Fd spooled_;
  int fd_ = -1;                             // of lane_ or spooled_
  RemoteTarget remote_;                     // used under the turn
  bool lane_lost_ = false;                  // under the turn: its node died, the way is remote_
  std::optional<RecoveryNote> noted_;       // under the turn: in recover/
  UnsentBytes unsent_;                      // of spooled_
  std::optional<std::uint64_t> staged_version_;  // under the turn: what the stage holds
  std::atomic<std::uint64_t> version_{1};
  std::atomic<bool> flushed_{false};
  std::atomic<bool> closing_{false};
  std::atomic<int> failure_{0};  // errno of a write

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable_any turn_free_;  // or there is something for the sender
  bool turn_taken_ = false;
  int turns_wanted_ = 0;
  bool sender_over_ = false;
  bool over_ = false;
  ClusterPath path_;
  std::uint64_t reserved_bytes_ = 0;
  struct stat last_status_ {};

  std::jthread sender_;  // started under the mutex, joined by who has the turn
};

}  // namespace skein
