#include "fuse/passthrough.h"

#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace skein {
namespace {

constexpr std::uint32_t kInitOpcode = 26;
constexpr std::uint32_t kInitKillPrivileges = 1u << 28;  // FUSE_HANDLE_KILLPRIV_V2
constexpr std::uint32_t kInitExtended = 1u << 30;        // FUSE_INIT_EXT: flags2 is valid
constexpr std::uint32_t kInitPassthrough = 1u << 5;      // FUSE_PASSTHROUGH, bit 37, in flags2
constexpr std::uint32_t kOpenPassthrough = 1u << 7;  // FOPEN_PASSTHROUGH
constexpr std::uint32_t kMaxStackDepth = 1;          // the backing file is on no stacked filesystem

struct RequestHeader {
  std::uint32_t len, opcode;
  std::uint64_t unique, nodeid;
  std::uint32_t uid, gid, pid, padding;
};
struct InitRequest {
  std::uint32_t major, minor, max_readahead, flags, flags2;
};
struct ReplyHeader {
  std::uint32_t len;
  std::int32_t error;
  std::uint64_t unique;
};
struct InitReply {
  std::uint32_t major, minor, max_readahead, flags;
  std::uint16_t max_background, congestion_threshold;
  std::uint32_t max_write, time_gran;
  std::uint16_t max_pages, map_alignment;
  std::uint32_t flags2, max_stack_depth, unused[6];
};
static_assert(sizeof(InitReply) == 64);
struct OpenReply {
  std::uint64_t fh;
  std::uint32_t flags;
  std::int32_t backing_id;
};
static_assert(sizeof(OpenReply) == 16);

struct BackingMap {
  std::int32_t fd;
  std::uint32_t flags;
  std::uint64_t padding;
};
constexpr unsigned long kBackingOpen = _IOW(229, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(229, 2, std::uint32_t);

// See Passthrough::Reply; 0 = none.
thread_local std::int32_t reply_backing_id = 0;

// The last `size` bytes of the reply's last part; null if it is smaller.
char* tail(const iovec* parts, int count, std::size_t size) {
  const iovec& last = parts[count - 1];
  if (count < 2 || last.iov_len < size) return nullptr;
  return static_cast<char*>(last.iov_base) + (last.iov_len - size);
}

}  // namespace

void Passthrough::saw_request(const void* request, std::size_t size) {
  RequestHeader header;
  InitRequest init;
  if (size < sizeof header + sizeof init) return;
  std::memcpy(&header, request, sizeof header);
  if (header.opcode != kInitOpcode) return;
  std::memcpy(&init, static_cast<const char*>(request) + sizeof header, sizeof init);
  init_request_ = header.unique;
  offered_ = (init.flags & kInitExtended) != 0 && (init.flags2 & kInitPassthrough) != 0;
  kill_privileges_offered_ = (init.flags & kInitKillPrivileges) != 0;
}

void Passthrough::edit_reply(const iovec* parts, int count) {
  ReplyHeader header;
  if (count < 2 || parts[0].iov_len != sizeof header) return;
  std::memcpy(&header, parts[0].iov_base, sizeof header);
  if (header.error != 0) return;
  if (init_request_ != 0 && header.unique == init_request_) {
    init_request_ = 0;
    char* at = tail(parts, count, sizeof(InitReply));
    if (at == nullptr) return;
    InitReply init;
    std::memcpy(&init, at, sizeof init);
    if (kill_privileges_offered_) init.flags |= kInitKillPrivileges;
    if (wanted_ && offered_) {
      init.flags |= kInitExtended;
      init.flags2 |= kInitPassthrough;
      init.max_stack_depth = kMaxStackDepth;
      agreed_ = true;
    }
    std::memcpy(at, &init, sizeof init);
    return;
  }
  if (reply_backing_id == 0) return;
  char* at = tail(parts, count, sizeof(OpenReply));
  if (at == nullptr) return;
  OpenReply open;
  std::memcpy(&open, at, sizeof open);
  open.flags |= kOpenPassthrough;
  open.backing_id = reply_backing_id;
  std::memcpy(at, &open, sizeof open);
}

Passthrough::Reply::Reply(std::int32_t backing_id) { reply_backing_id = backing_id; }

Passthrough::Reply::~Reply() { reply_backing_id = 0; }

std::int32_t BackingFiles::opened(Inode inode, int backing_fd) {
  const std::lock_guard lock(mutex_);
  Opens& opens = opens_[inode];
  const bool first = opens.count++ == 0;
  if (!first || backing_fd < 0 || device_ < 0 || refused_) return opens.backing_id;
  const BackingMap map{backing_fd, 0, 0};
  const int id = ::ioctl(device_, kBackingOpen, &map);
  if (id > 0) {
    opens.backing_id = id;
  } else if (errno == EPERM || errno == ENOTTY || errno == EOPNOTSUPP) {
    refused_ = true;
  }
  return opens.backing_id;
}

void BackingFiles::closed(Inode inode) {
  const std::lock_guard lock(mutex_);
  const auto found = opens_.find(inode);
  if (found == opens_.end() || --found->second.count > 0) return;
  if (const std::uint32_t id = static_cast<std::uint32_t>(found->second.backing_id); id != 0) {
    (void)::ioctl(device_, kBackingClose, &id);
  }
  opens_.erase(found);
}

}  // namespace skein
