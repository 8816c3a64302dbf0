#include "fuse/kernel_reply.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

namespace skein {
namespace {

// How this open goes on in the kernel, and the reply's flags for it.
std::int32_t choose_path(KernelRequests& parts, const OpenFile& file, fuse_file_info* info) {
  info->keep_cache = 1;
  info->direct_io = file.growing != nullptr;
  if (file.growing) return 0;
  const bool local = file.session ? file.session->is_node_local() : file.local_fd() >= 0;
  const bool possible = local && parts.passthrough.agreed();
  const std::int32_t backing = parts.backing.opened(file.inode, possible ? file.local_fd() : -1);
  if (backing != 0) info->keep_cache = 0;  // the kernel refuses both together
  return backing;
}

void close_file(KernelRequests& parts, const OpenFile* open) {
  auto file = parts.open_files.take(open);
  if (!file->growing) parts.backing.closed(file->inode);
  parts.files.release(std::move(file));
}

// Gives the file to the kernel with `reply`; false: the kernel no longer wants it, so it is closed.
template <typename Reply>
bool hand_over(KernelRequests& parts, std::unique_ptr<OpenFile> file, fuse_file_info* info,
               const Reply& reply) {
  const OpenFile* const open = file.get();
  info->fh = reinterpret_cast<std::uint64_t>(open);
  // Before the reply: its RELEASE may come before this thread goes on.
  parts.open_files.add(std::move(file));
  if (reply() == 0) return true;
  close_file(parts, open);
  return false;
}

void on_open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  KernelRequests& parts = parts_of(request);
  auto file = parts.files.open(inode, info->flags);
  if (!file) return fail(request, file.error());
  (*file)->inode = inode;
  const Passthrough::Reply reply(choose_path(parts, **file, info));
  info->noflush = !(*file)->writes;
  hand_over(parts, std::move(*file), info, [&] { return fuse_reply_open(request, info); });
}

void on_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t,
               fuse_file_info* info) {
  KernelRequests& parts = parts_of(request);
  auto created = parts.files.create(parent, name, info->flags);
  if (!created) return fail(request, created.error());
  auto& [shown, file] = *created;
  file->inode = shown.inode();
  const Passthrough::Reply reply(choose_path(parts, *file, info));
  const fuse_entry_param entry = entry_of(parts, shown);
  parts.tree.counted(shown, parent, name);
  const auto send = [&] { return fuse_reply_create(request, &entry, info); };
  if (!hand_over(parts, std::move(file), info, send)) parts.inodes.forget(shown.inode(), 1);
}

void on_mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
  KernelRequests& parts = parts_of(request);
  if (!S_ISREG(mode)) return void(fuse_reply_err(request, EPERM));
  auto created = parts.files.create(parent, name, O_CREAT | O_EXCL | O_WRONLY);
  if (!created) return fail(request, created.error());
  auto& [shown, file] = *created;
  const Unsealed::Session session = file->session;
  auto flushed = parts.files.flush(*file, 0);
  parts.files.release(std::move(file));
  if (!flushed) return fail(request, flushed.error());
  // The kernel is told the number that the file keeps.
  if (session) parts.unsealed.wait_if_closing(session);
  const auto now = parts.tree.lookup(parent, name);
  if (!now) return fail(request, now.error());
  reply_entry(request, *now, parent, name);
}

// A stretch of a file, for libfuse to splice from or to.
fuse_bufvec stretch(int fd, off_t offset, std::size_t size) {
  fuse_bufvec out{};
  out.count = 1;
  out.buf[0].size = size;
  out.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
  out.buf[0].fd = fd;
  out.buf[0].pos = offset;
  return out;
}

void reply_slices(fuse_req_t request, const Slices& slices) {
  std::vector<iovec> parts;
  for (const Slice& slice : slices) {
    parts.push_back({const_cast<char*>(slice.begin), slice.size});
  }
  fuse_reply_iov(request, parts.data(), static_cast<int>(parts.size()));
}

void on_read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
             fuse_file_info* info) {
  OpenFile& file = file_of(info);
  if (const int fd = file.local_fd(); fd >= 0) {
    fuse_bufvec reply = stretch(fd, offset, size);
    fuse_reply_data(request, &reply, FUSE_BUF_SPLICE_MOVE);
    return;
  }
  if (file.session) return void(fuse_reply_err(request, EBADF));
  const auto at = static_cast<std::uint64_t>(offset);
  const auto slices = file.growing ? file.growing->read(at, size) : file.sealed->read(at, size);
  if (!slices) return fail(request, slices.error());
  reply_slices(request, *slices);
}

// The offset is where the kernel believes the end to be.
void append(fuse_req_t request, const OpenFile& file, fuse_bufvec* from) {
  std::vector<char> bytes(fuse_buf_size(from));
  fuse_bufvec to{};
  to.count = 1;
  to.buf[0].size = bytes.size();
  to.buf[0].mem = bytes.data();
  const ssize_t copied = fuse_buf_copy(&to, from, static_cast<fuse_buf_copy_flags>(0));
  if (copied < 0) return void(fuse_reply_err(request, static_cast<int>(-copied)));
  bytes.resize(static_cast<std::size_t>(copied));
  if (auto done = parts_of(request).files.append(file, bytes); !done) {
    return fail(request, done.error());
  }
  fuse_reply_write(request, bytes.size());
}

void on_write_buf(fuse_req_t request, fuse_ino_t, fuse_bufvec* from, off_t offset,
                  fuse_file_info* info) {
  OpenFile& file = file_of(info);
  if (file.growing) return append(request, file, from);
  const std::size_t size = fuse_buf_size(from);
  const std::uint64_t end = static_cast<std::uint64_t>(offset) + size;
  auto allowed = parts_of(request).files.before_write(file, end);
  if (!allowed) return fail(request, allowed.error());
  // All or an error: of a mapping's pages that the kernel writes back, it drops what was left over.
  fuse_bufvec to = stretch(file.session->fd(), offset, size);
  for (std::size_t copied = 0; copied < size;) {
    const ssize_t n = fuse_buf_copy(&to, from, static_cast<fuse_buf_copy_flags>(0));
    if (n <= 0) {
      const int failure = n < 0 ? static_cast<int>(-n) : EIO;
      file.session->write_failed(static_cast<std::errc>(failure));
      return void(fuse_reply_err(request, failure));
    }
    copied += static_cast<std::size_t>(n);
  }
  file.session->wrote(static_cast<std::uint64_t>(offset), end);
  fuse_reply_write(request, size);
}

void on_flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  finish(request, parts_of(request).files.flush(file_of(info), fuse_req_ctx(request)->pid));
}

void on_fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info* info) {
  finish(request, parts_of(request).files.sync(file_of(info)));
}

void on_release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  close_file(parts_of(request), &file_of(info));
  fuse_reply_err(request, 0);
}

void on_fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
                  fuse_file_info* info) {
  OpenFile& file = file_of(info);
  auto allowed =
      parts_of(request).files.before_write(file, static_cast<std::uint64_t>(offset + length));
  if (!allowed) return fail(request, allowed.error());
  if (::fallocate(file.session->fd(), mode, offset, length) != 0) {
    return void(fuse_reply_err(request, errno));
  }
  // Modes that move or clear bytes; the others add zeros behind the end.
  if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) file.session->rewrote(static_cast<std::uint64_t>(offset));
  file.session->changed();  // once more: a flush in between has not seen it
  fuse_reply_err(request, 0);
}

void on_lseek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  const OpenFile& file = file_of(info);
  if (const int fd = file.local_fd(); fd >= 0) {
    const off_t found = ::lseek(fd, offset, whence);
    if (found < 0) return void(fuse_reply_err(request, errno));
    fuse_reply_lseek(request, found);
    return;
  }
  if (file.session) return void(fuse_reply_err(request, EBADF));
  // A growing file has no end that would still be true at the caller.
  if (file.growing) return void(fuse_reply_err(request, EINVAL));
  // What lies on another host is all data, for whoever reads it from here.
  const off_t size = static_cast<off_t>(file.sealed->size_bytes());
  if (offset >= size || offset < 0) return void(fuse_reply_err(request, ENXIO));
  fuse_reply_lseek(request, whence == SEEK_HOLE ? size : offset);
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& ops) {
  using Kind = MountMetrics::Kind;
  ops.open = counted<Kind::kOpen, on_open>;
  ops.create = counted<Kind::kCreate, on_create>;
  ops.mknod = counted<Kind::kMknod, on_mknod>;
  ops.read = counted<Kind::kRead, on_read>;
  ops.write_buf = counted<Kind::kWriteBuf, on_write_buf>;
  ops.flush = counted<Kind::kFlush, on_flush>;
  ops.fsync = counted<Kind::kFsync, on_fsync>;
  ops.release = counted<Kind::kRelease, on_release>;
  ops.fallocate = counted<Kind::kFallocate, on_fallocate>;
  ops.lseek = counted<Kind::kLseek, on_lseek>;
}

}  // namespace skein
