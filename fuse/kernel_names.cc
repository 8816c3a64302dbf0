#include "fuse/kernel_reply.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

namespace skein {
namespace {

void on_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const auto shown = parts_of(request).tree.lookup(parent, name);
  if (!shown) return fail(request, shown.error());
  reply_entry(request, *shown, parent, name);
}

void on_forget(fuse_req_t request, fuse_ino_t inode, std::uint64_t count) {
  parts_of(request).inodes.forget(inode, count);
  fuse_reply_none(request);
}

void on_forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
  for (std::size_t i = 0; i < count; ++i) {
    parts_of(request).inodes.forget(forgets[i].ino, forgets[i].nlookup);
  }
  fuse_reply_none(request);
}

void on_mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t) {
  const auto made = parts_of(request).tree.make_directory(parent, name);
  if (!made) return fail(request, made.error());
  reply_entry(request, *made, parent, name);
}

void on_rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  finish(request, parts_of(request).tree.remove_directory(parent, name));
}

void on_unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  finish(request, parts_of(request).files.remove(parent, name));
}

void on_rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  KernelRequests& parts = parts_of(request);
  if ((flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0) {
    return void(fuse_reply_err(request, EINVAL));
  }
  if ((flags & RENAME_NOREPLACE) && parts.tree.lookup(new_parent, new_name)) {
    return void(fuse_reply_err(request, EEXIST));
  }
  finish(request, parts.files.rename({parent, name}, {new_parent, new_name}));
}

void on_link(fuse_req_t request, fuse_ino_t, fuse_ino_t, const char*) {
  fuse_reply_err(request, EPERM);
}

void on_symlink(fuse_req_t request, const char*, fuse_ino_t, const char*) {
  fuse_reply_err(request, EPERM);
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& ops) {
  using Kind = MountMetrics::Kind;
  ops.lookup = counted<Kind::kLookup, on_lookup>;
  ops.forget = on_forget;
  ops.forget_multi = on_forget_multi;
  ops.mkdir = counted<Kind::kMkdir, on_mkdir>;
  ops.rmdir = counted<Kind::kRmdir, on_rmdir>;
  ops.unlink = counted<Kind::kUnlink, on_unlink>;
  ops.rename = counted<Kind::kRename, on_rename>;
  ops.link = counted<Kind::kLink, on_link>;
  ops.symlink = counted<Kind::kSymlink, on_symlink>;
}

}  // namespace skein
