// Kernel passthrough: reads and writes of a node-local file go from the kernel straight to the
// backing file, at the speed of its filesystem. Linux 6.9 and later, with CAP_SYS_ADMIN.
//
// libfuse knows it from 3.17 on; for older ones the three places where it shows in the protocol are
// edited on the way to and from /dev/fuse. Source: include/uapi/linux/fuse.h of Linux 6.9; the
// headers of Debian 12 are older, so the fields are spelled out in the .cc file.
//
// At INIT one more thing is agreed on that libfuse knows later only: that set-uid bits are dropped
// here (there are none). Else the kernel asks before each write(2) whether the file has capabilities,
// a round trip each; so it asks once per file.
//
// The kernel demands one backing file per inode while any open of it is passed through, and that no
// open of the same inode uses its page cache meanwhile: BackingFiles keeps both rules.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "cache/tree.h"

namespace skein {

class Passthrough {
 public:
  // `wanted` false: no file is passed through.
  explicit Passthrough(bool wanted) : wanted_(wanted) {}

  // Looks at a request as it was read. Notes what the kernel offers at INIT.
  void saw_request(const void* request, std::size_t size);
  // Edits a reply in place before it is written.
  void edit_reply(const iovec* parts, int count);

  // The kernel offered it and the INIT reply asked for it.
  bool agreed() const { return agreed_; }

  // While it lives, the calling thread's successful reply to OPEN or CREATE carries the backing
  // file. (libfuse offers no other way to that reply; it writes it in the replying thread.)
  class Reply {
   public:
    explicit Reply(std::int32_t backing_id);
    ~Reply();
    Reply(const Reply&) = delete;
    Reply& operator=(const Reply&) = delete;
  };

 private:
  const bool wanted_;
  std::atomic<std::uint64_t> init_request_{0};  // that waits for its reply; 0 = none
  std::atomic<bool> offered_{false};
  std::atomic<bool> kill_privileges_offered_{false};
  std::atomic<bool> agreed_{false};
};

// Thread-safe.
class BackingFiles {
 public:
  // `device` is the session's descriptor of /dev/fuse.
  void use(int device) { device_ = device; }

  // How one more open of `inode` is done, given a descriptor of the backing file (-1: none). The id
  // for Passthrough::Reply; 0 = through the page cache of the mount. Undone by closed().
  std::int32_t opened(Inode inode, int backing_fd);
  void closed(Inode inode);

 private:
  struct Opens {
    std::int32_t backing_id = 0;
    int count = 0;
  };
  std::atomic<int> device_{-1};
  std::atomic<bool> refused_{false};  // no privilege for it: not tried again

  std::mutex mutex_;  // guards the opens
  std::unordered_map<Inode, Opens> opens_;
};

}  // namespace skein
