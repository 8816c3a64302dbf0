#include "fuse/kernel_reply.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

namespace skein {
namespace {

constexpr int kStatBlockBytes = 4096;

void reply_attributes(fuse_req_t request, fuse_ino_t inode) {
  KernelRequests& parts = parts_of(request);
  const auto shown = parts.tree.stat(inode);
  if (!shown && is_private_inode(inode)) {
    // Unlinked, or dropped at its seal, while it is open. The kernel does not say by which
    // descriptor it asks.
    if (const auto session = parts.open_files.session_of(inode)) {
      Shown nameless = parts.tree.show(*session);
      nameless.attributes.st_nlink = 0;
      fuse_reply_attr(request, &nameless.attributes, 0);
      return;
    }
  }
  if (!shown) return fail(request, shown.error());
  fuse_reply_attr(request, &shown->attributes, attributes_s(*shown));
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  reply_attributes(request, inode);
}

void on_setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int what,
                fuse_file_info* info) {
  // Mode, owner and times are the mount's own to show: accepted, without effect.
  if (what & FUSE_SET_ATTR_SIZE) {
    const auto size = static_cast<std::uint64_t>(wanted->st_size);
    const OpenFile* const file = info != nullptr ? &file_of(info) : nullptr;
    if (auto set = parts_of(request).files.set_size(inode, file, size); !set) {
      return fail(request, set.error());
    }
  }
  reply_attributes(request, inode);
}

void on_access(fuse_req_t request, fuse_ino_t inode, int mask) {
  if ((mask & W_OK) == 0) return void(fuse_reply_err(request, 0));
  const auto shown = parts_of(request).tree.stat(inode);
  if (!shown) return fail(request, shown.error());
  const bool writable =
      shown->kind == Shown::Kind::kDirectory || shown->kind == Shown::Kind::kUnsealed;
  fuse_reply_err(request, writable ? 0 : EACCES);
}

void on_statfs(fuse_req_t request, fuse_ino_t) {
  const DiskSpace space = parts_of(request).space.count();
  struct statvfs out {};
  out.f_bsize = kStatBlockBytes;
  out.f_frsize = kStatBlockBytes;
  out.f_blocks = space.total_bytes / kStatBlockBytes;
  out.f_bfree = out.f_bavail = space.free_bytes / kStatBlockBytes;
  out.f_namemax = kMaxNameBytes;
  fuse_reply_statfs(request, &out);
}

void reply_value(fuse_req_t request, std::string_view value, std::size_t room) {
  if (room == 0) return void(fuse_reply_xattr(request, value.size()));
  if (value.size() > room) return void(fuse_reply_err(request, ERANGE));
  fuse_reply_buf(request, value.data(), value.size());
}

void on_getxattr(fuse_req_t request, fuse_ino_t inode, const char* name, std::size_t size) {
  // ls(1) asks once per device for access lists when told that there are none.
  if (std::strncmp(name, "user.", 5) != 0) return void(fuse_reply_err(request, ENOTSUP));
  const auto value = parts_of(request).facts.value(inode, name);
  if (!value) return fail(request, value.error());
  reply_value(request, *value, size);
}

void on_listxattr(fuse_req_t request, fuse_ino_t inode, std::size_t size) {
  const auto names = parts_of(request).facts.names(inode);
  if (!names) return fail(request, names.error());
  std::string list;  // each with its terminating zero
  for (const std::string& name : *names) list.append(name).push_back('\0');
  reply_value(request, list, size);
}

void on_setxattr(fuse_req_t request, fuse_ino_t, const char*, const char*, std::size_t, int) {
  fuse_reply_err(request, ENOTSUP);
}

void on_removexattr(fuse_req_t request, fuse_ino_t, const char*) {
  fuse_reply_err(request, ENOTSUP);
}

}  // namespace

void add_attribute_operations(fuse_lowlevel_ops& ops) {
  using Kind = MountMetrics::Kind;
  ops.getattr = counted<Kind::kGetattr, on_getattr>;
  ops.setattr = counted<Kind::kSetattr, on_setattr>;
  ops.access = counted<Kind::kAccess, on_access>;
  ops.statfs = counted<Kind::kStatfs, on_statfs>;
  ops.getxattr = counted<Kind::kGetxattr, on_getxattr>;
  ops.listxattr = counted<Kind::kListxattr, on_listxattr>;
  ops.setxattr = counted<Kind::kSetxattr, on_setxattr>;
  ops.removexattr = counted<Kind::kRemovexattr, on_removexattr>;
}

}  // namespace skein
