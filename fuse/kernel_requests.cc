#include "fuse/kernel_requests.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "fuse/kernel_library.h"

namespace skein {
namespace {

// Bytes and size of a sealed file never change.
constexpr double kSealedAttributesS = 30 * 24 * 3600.0;
// A file may be removed by hand on its node. Long where entries can be revoked at once when a node
// comes or goes, else short.
constexpr double kRevocableEntryS = 60;
constexpr double kEntryS = 1;
constexpr double kDirectoryAttributesS = 1;

constexpr unsigned kWriteBytes = 1u << 20;
constexpr unsigned kKernelReadAheadBytes = 4u << 20;
constexpr unsigned kBackgroundRequests = 64;
constexpr unsigned kMinorWithEpochs = 44;
constexpr int kStatBlockBytes = 4096;

constexpr const char* kLocations = "user.skein.locations";
constexpr const char* kNode = "user.skein.node";
constexpr const char* kIncomplete = "user.skein.incomplete";

KernelRequests& parts_of(fuse_req_t request) {
  return *static_cast<KernelRequests*>(fuse_req_userdata(request));
}

OpenFile& file_of(fuse_file_info* info) { return *reinterpret_cast<OpenFile*>(info->fh); }

DirectoryStream& directory_of(fuse_file_info* info) {
  return *reinterpret_cast<DirectoryStream*>(info->fh);
}

void fail(fuse_req_t request, const Error& error) { fuse_reply_err(request, kernel_errno(error)); }

void finish(fuse_req_t request, const Result<void>& result) {
  fuse_reply_err(request, result ? 0 : kernel_errno(result.error()));
}

double attributes_s(const Shown& shown) {
  switch (shown.kind) {
    case Shown::Kind::kSealed: return kSealedAttributesS;
    case Shown::Kind::kDirectory: return kDirectoryAttributesS;
    default: return 0;
  }
}

fuse_entry_param entry_of(const KernelRequests& parts, const Shown& shown) {
  fuse_entry_param entry{};
  entry.ino = shown.inode();
  entry.attr = shown.attributes;
  entry.attr_timeout = attributes_s(shown);
  // An unsealed file may be dropped or sealed at any moment.
  entry.entry_timeout = shown.kind == Shown::Kind::kUnsealed ? 0
                        : parts.entries_revocable            ? kRevocableEntryS
                                                             : kEntryS;
  return entry;
}

void reply_entry(fuse_req_t request, const Shown& shown, fuse_ino_t parent, const char* name) {
  KernelRequests& parts = parts_of(request);
  const fuse_entry_param entry = entry_of(parts, shown);
  parts.tree.counted(shown, parent, name);
  if (fuse_reply_entry(request, &entry) != 0) parts.inodes.forget(shown.inode(), 1);
}

void on_init(void* userdata, fuse_conn_info* connection) {
  auto& parts = *static_cast<KernelRequests*>(userdata);
  connection->max_write = kWriteBytes;
  connection->max_readahead = kKernelReadAheadBytes;
  connection->max_background = kBackgroundRequests;
  const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                          FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
                          FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_EXPLICIT_INVAL_DATA;
  // What a sealed file's cached pages hold stays true whatever its attributes do at the seal.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA);
  connection->want |= wanted & connection->capable;
  parts.entries_revocable = connection->proto_major > 7 || connection->proto_minor >= kMinorWithEpochs;
  if (parts.on_ready) parts.on_ready();
}

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

void reply_attributes(fuse_req_t request, fuse_ino_t inode) {
  const auto shown = parts_of(request).tree.stat(inode);
  if (!shown) return fail(request, shown.error());
  fuse_reply_attr(request, &shown->attributes, attributes_s(*shown));
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  // A file that was unlinked, or dropped at its seal, while it is open here.
  if (info != nullptr && is_private_inode(inode) && !parts_of(request).inodes.tree_number(inode)) {
    if (const OpenFile& file = file_of(info); file.session) {
      const Shown shown = parts_of(request).tree.show(*file.session);
      fuse_reply_attr(request, &shown.attributes, 0);
      return;
    }
  }
  reply_attributes(request, inode);
}

void on_setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int what,
                fuse_file_info*) {
  // Mode, owner and times are the mount's own to show: accepted, without effect.
  if (what & FUSE_SET_ATTR_SIZE) {
    const auto size = static_cast<std::uint64_t>(wanted->st_size);
    if (auto set = parts_of(request).files.set_size(inode, size); !set) {
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

void on_mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t) {
  const auto made = parts_of(request).tree.make_directory(parent, name);
  if (!made) return fail(request, made.error());
  reply_entry(request, *made, parent, name);
}

// A node keeps what it has: there is no verb to take a directory away.
void on_rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const auto shown = parts_of(request).tree.lookup(parent, name);
  if (!shown) return fail(request, shown.error());
  fuse_reply_err(request, shown->kind == Shown::Kind::kDirectory ? EPERM : ENOTDIR);
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

// How this open goes on in the kernel, and the reply's flags for it.
std::int32_t choose_path(KernelRequests& parts, const OpenFile& file, fuse_file_info* info) {
  info->keep_cache = 1;
  info->direct_io = file.growing;
  if (file.growing) return 0;
  const bool local = file.session ? file.session->is_node_local() : file.local_fd() >= 0;
  const bool possible = local && parts.passthrough.agreed();
  const std::int32_t backing = parts.backing.opened(file.inode, possible ? file.local_fd() : -1);
  if (backing != 0) info->keep_cache = 0;  // the kernel refuses both together
  return backing;
}

void close_path(KernelRequests& parts, const OpenFile& file) {
  if (!file.growing) parts.backing.closed(file.inode);
}

void on_open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  KernelRequests& parts = parts_of(request);
  auto file = parts.files.open(inode, info->flags);
  if (!file) return fail(request, file.error());
  (*file)->inode = inode;
  const Passthrough::Reply reply(choose_path(parts, **file, info));
  info->noflush = !(*file)->writes;
  info->fh = reinterpret_cast<std::uint64_t>(file->get());
  if (fuse_reply_open(request, info) == 0) {
    (void)file->release();  // on_release() takes it back
    return;
  }
  close_path(parts, **file);
  parts.files.release(std::move(*file));
}

void on_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t,
               fuse_file_info* info) {
  KernelRequests& parts = parts_of(request);
  auto created = parts.files.create(parent, name, info->flags);
  if (!created) return fail(request, created.error());
  auto& [shown, file] = *created;
  file->inode = shown.inode();
  const Passthrough::Reply reply(choose_path(parts, *file, info));
  info->fh = reinterpret_cast<std::uint64_t>(file.get());
  const fuse_entry_param entry = entry_of(parts, shown);
  parts.tree.counted(shown, parent, name);
  if (fuse_reply_create(request, &entry, info) == 0) {
    (void)file.release();  // on_release() takes it back
    return;
  }
  parts.inodes.forget(shown.inode(), 1);
  close_path(parts, *file);
  parts.files.release(std::move(file));
}

void on_mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
  KernelRequests& parts = parts_of(request);
  if (!S_ISREG(mode)) return void(fuse_reply_err(request, EPERM));
  auto created = parts.files.create(parent, name, O_CREAT | O_EXCL | O_WRONLY);
  if (!created) return fail(request, created.error());
  auto& [shown, file] = *created;
  auto flushed = parts.files.flush(*file, 0);
  parts.files.release(std::move(file));
  if (!flushed) return fail(request, flushed.error());
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
  const auto slices = file.sealed->read(static_cast<std::uint64_t>(offset), size);
  if (!slices) return fail(request, slices.error());
  reply_slices(request, *slices);
}

void on_write_buf(fuse_req_t request, fuse_ino_t, fuse_bufvec* from, off_t offset,
                  fuse_file_info* info) {
  OpenFile& file = file_of(info);
  const std::size_t size = fuse_buf_size(from);
  auto allowed = parts_of(request).files.before_write(file, static_cast<std::uint64_t>(offset) + size);
  if (!allowed) return fail(request, allowed.error());
  fuse_bufvec to = stretch(file.session->fd(), offset, size);
  const ssize_t copied = fuse_buf_copy(&to, from, static_cast<fuse_buf_copy_flags>(0));
  if (copied < 0) return void(fuse_reply_err(request, static_cast<int>(-copied)));
  fuse_reply_write(request, static_cast<std::size_t>(copied));
}

void on_flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  finish(request, parts_of(request).files.flush(file_of(info), fuse_req_ctx(request)->pid));
}

void on_fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info* info) {
  finish(request, parts_of(request).files.sync(file_of(info)));
}

void on_release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  std::unique_ptr<OpenFile> file(&file_of(info));
  close_path(parts_of(request), *file);
  parts_of(request).files.release(std::move(file));
  fuse_reply_err(request, 0);
}

void on_fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
                  fuse_file_info* info) {
  OpenFile& file = file_of(info);
  auto allowed =
      parts_of(request).files.before_write(file, static_cast<std::uint64_t>(offset + length));
  if (!allowed) return fail(request, allowed.error());
  const int done = ::fallocate(file.session->fd(), mode, offset, length);
  fuse_reply_err(request, done == 0 ? 0 : errno);
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
  // What lies on another host is all data, for whoever reads it from here.
  const off_t size = static_cast<off_t>(file.sealed->size_bytes());
  if (offset >= size || offset < 0) return void(fuse_reply_err(request, ENXIO));
  fuse_reply_lseek(request, whence == SEEK_HOLE ? size : offset);
}

void on_opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  KernelRequests& parts = parts_of(request);
  const auto refreshed = parts.tree.refresh(inode);
  if (!refreshed) return fail(request, refreshed.error());
  auto stream = std::make_unique<DirectoryStream>(parts.tree, inode,
                                                  parts.unsealed.in_directory(inode));
  info->fh = reinterpret_cast<std::uint64_t>(stream.get());
  if (fuse_reply_open(request, info) == 0) (void)stream.release();  // for on_releasedir()
}

void on_releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  delete &directory_of(info);
  fuse_reply_err(request, 0);
}

// Adds one entry to a reply of readdir. False: it does not fit.
class DirectoryReply {
 public:
  DirectoryReply(fuse_req_t request, std::size_t size, bool plus)
      : request_(request), memory_(size), plus_(plus) {}

  bool add_dots(std::uint64_t position, Inode directory) {
    Shown shown;
    shown.attributes.st_mode = S_IFDIR;
    shown.attributes.st_ino = directory;
    fuse_entry_param entry{};
    entry.attr = shown.attributes;  // no inode: the kernel counts no lookup for these
    return append(position == 0 ? "." : "..", entry, position + 1);
  }
  bool add(const DirectoryStream::Item& item, Inode directory, std::uint64_t next) {
    KernelRequests& parts = parts_of(request_);
    if (!append(item.name.c_str(), entry_of(parts, item.shown), next)) return false;
    if (plus_) parts.tree.counted(item.shown, directory, item.name);
    return true;
  }
  void send() { fuse_reply_buf(request_, memory_.data(), used_); }
  bool empty() const { return used_ == 0; }

 private:
  bool append(const char* name, const fuse_entry_param& entry, std::uint64_t next) {
    char* to = memory_.data() + used_;
    const std::size_t room = memory_.size() - used_;
    const auto offset = static_cast<off_t>(next);
    const std::size_t needed =
        plus_ ? fuse_add_direntry_plus(request_, to, room, name, &entry, offset)
              : fuse_add_direntry(request_, to, room, name, &entry.attr, offset);
    if (needed > room) return false;
    used_ += needed;
    return true;
  }

  const fuse_req_t request_;
  std::vector<char> memory_;
  std::size_t used_ = 0;
  const bool plus_;
};

void read_directory(fuse_req_t request, std::size_t size, off_t offset, fuse_file_info* info,
                    bool plus) {
  DirectoryStream& stream = directory_of(info);
  const std::lock_guard lock(stream.mutex());
  DirectoryReply reply(request, size, plus);
  if (offset == 0) stream.rewind();
  for (auto position = static_cast<std::uint64_t>(offset);; ++position) {
    if (position < 2) {
      if (!reply.add_dots(position, stream.directory())) break;
      continue;
    }
    const auto item = stream.at(position - 2);
    if (!item && reply.empty()) return fail(request, item.error());
    if (!item || *item == nullptr) break;
    if (!reply.add(**item, stream.directory(), position + 1)) break;
  }
  reply.send();
}

void on_readdir(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                fuse_file_info* info) {
  read_directory(request, size, offset, info, false);
}

void on_readdirplus(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                    fuse_file_info* info) {
  read_directory(request, size, offset, info, true);
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

std::string joined(const std::string& before, const std::string& next) {
  return before.empty() ? next : before + ", " + next;
}

Result<std::string> attribute_value(KernelRequests& parts, fuse_ino_t inode,
                                    const std::string& name) {
  const Error none{static_cast<std::errc>(ENODATA), "no such attribute"};
  const auto shown = parts.tree.stat(inode);
  if (!shown) return shown.error();
  std::string value;
  if (shown->kind == Shown::Kind::kDirectory) {
    if (name != kIncomplete) return none;
    const auto missing = parts.tree.refresh(inode);
    if (!missing) return missing.error();
    for (const Node& node : *missing) value = joined(value, node.label());
  } else if (shown->kind != Shown::Kind::kUnsealed && (name == kLocations || name == kNode)) {
    auto path = parts.tree.path_of(inode);
    if (!path) return path.error();
    const auto located = parts.finder.find(*path);
    if (!located) return located.error();
    for (const Copy& copy : located->copies) {
      value = joined(value, name == kNode ? copy.node.label() : copy.node.url() + path->target().substr(1));
      if (name == kNode) break;
    }
  }
  if (value.empty()) return none;
  return value;
}

void reply_value(fuse_req_t request, std::string_view value, std::size_t room) {
  if (room == 0) return void(fuse_reply_xattr(request, value.size()));
  if (value.size() > room) return void(fuse_reply_err(request, ERANGE));
  fuse_reply_buf(request, value.data(), value.size());
}

void on_getxattr(fuse_req_t request, fuse_ino_t inode, const char* name, std::size_t size) {
  // ls(1) asks once per device for access lists when told that there are none.
  if (std::strncmp(name, "user.", 5) != 0) return void(fuse_reply_err(request, ENOTSUP));
  const auto value = attribute_value(parts_of(request), inode, name);
  if (!value) return fail(request, value.error());
  reply_value(request, *value, size);
}

void on_listxattr(fuse_req_t request, fuse_ino_t inode, std::size_t size) {
  const auto shown = parts_of(request).tree.stat(inode);
  if (!shown) return fail(request, shown.error());
  std::string names;  // each with its terminating zero
  const auto add = [&](const char* name) { names.append(name, std::strlen(name) + 1); };
  if (shown->kind == Shown::Kind::kSealed) {
    add(kLocations);
    add(kNode);
  } else if (shown->kind == Shown::Kind::kDirectory &&
             attribute_value(parts_of(request), inode, kIncomplete)) {
    add(kIncomplete);
  }
  reply_value(request, names, size);
}

void on_setxattr(fuse_req_t request, fuse_ino_t, const char*, const char*, std::size_t, int) {
  fuse_reply_err(request, ENOTSUP);
}

void on_removexattr(fuse_req_t request, fuse_ino_t, const char*) {
  fuse_reply_err(request, ENOTSUP);
}

fuse_lowlevel_ops make_operations() {
  fuse_lowlevel_ops ops{};
  ops.init = on_init;
  ops.lookup = on_lookup;
  ops.forget = on_forget;
  ops.forget_multi = on_forget_multi;
  ops.getattr = on_getattr;
  ops.setattr = on_setattr;
  ops.access = on_access;
  ops.mkdir = on_mkdir;
  ops.rmdir = on_rmdir;
  ops.unlink = on_unlink;
  ops.rename = on_rename;
  ops.link = on_link;
  ops.symlink = on_symlink;
  ops.mknod = on_mknod;
  ops.open = on_open;
  ops.create = on_create;
  ops.read = on_read;
  ops.write_buf = on_write_buf;
  ops.flush = on_flush;
  ops.fsync = on_fsync;
  ops.release = on_release;
  ops.fallocate = on_fallocate;
  ops.lseek = on_lseek;
  ops.opendir = on_opendir;
  ops.releasedir = on_releasedir;
  ops.readdir = on_readdir;
  ops.readdirplus = on_readdirplus;
  ops.statfs = on_statfs;
  ops.getxattr = on_getxattr;
  ops.listxattr = on_listxattr;
  ops.setxattr = on_setxattr;
  ops.removexattr = on_removexattr;
  return ops;
}

}  // namespace

int kernel_errno(const Error& error) {
  switch (error.code) {
    case std::errc::connection_refused:
    case std::errc::not_connected:
      return EHOSTUNREACH;
    case std::errc::connection_reset:
    case std::errc::broken_pipe:
    case std::errc::bad_message:
    case std::errc::message_size:
    case std::errc::operation_canceled:
      return EIO;
    default:
      return static_cast<int>(error.code);
  }
}

const fuse_lowlevel_ops& kernel_operations() {
  static const fuse_lowlevel_ops ops = make_operations();
  return ops;
}

}  // namespace skein
