#include "fuse/kernel_reply.h"

#include <memory>
#include <mutex>
#include <vector>

#include "fuse/directory_stream.h"

namespace skein {
namespace {

DirectoryStream& directory_of(fuse_file_info* info) {
  return *reinterpret_cast<DirectoryStream*>(info->fh);
}

void on_opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  KernelRequests& parts = parts_of(request);
  auto opening = parts.tree.open(inode);
  if (!opening) return fail(request, opening.error());
  // Before the names are read: what is stored meanwhile has another version.
  const std::uint64_t version = *opening ? 0 : parts.tree.listing_version(inode);
  auto unsealed = parts.unsealed.in_directory(inode);
  info->cache_readdir = 1;
  info->keep_cache = parts.kept_names.keep(inode, version, unsealed.empty(), entry_trust(parts));
  auto stream = std::make_unique<DirectoryStream>(parts.tree, inode, std::move(*opening),
                                                  std::move(unsealed));
  const DirectoryStream* const open = stream.get();
  info->fh = reinterpret_cast<std::uint64_t>(open);
  // Before the reply: RELEASEDIR may come at once.
  parts.open_files.add(std::move(stream));
  if (fuse_reply_open(request, info) != 0) parts.open_files.take(open);
}

void on_releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  parts_of(request).open_files.take(&directory_of(info));
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
    fuse_entry_param entry = entry_of(parts, item.shown);
    // Attributes that are not known are left to a lookup of who wants them.
    if (item.shown.unsized) entry.ino = 0;
    if (!append(item.name.c_str(), entry, next)) return false;
    if (plus_ && !item.shown.unsized) parts.tree.counted(item.shown, directory, item.name);
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

// Names that became known while they were read have a version only now.
void given_to_the_end(KernelRequests& parts, const DirectoryStream& stream) {
  const std::uint64_t version = stream.read_version();
  if (version == 0 || !stream.settled()) return;
  parts.kept_names.gave(stream.directory(), version, stream.opened());
}

void read_directory(fuse_req_t request, std::size_t size, off_t offset, fuse_file_info* info,
                    bool plus) {
  DirectoryStream& stream = directory_of(info);
  // Let go before the reply: once the kernel has it, RELEASEDIR may delete the stream.
  std::unique_lock lock(stream.mutex());
  DirectoryReply reply(request, size, plus);
  if (offset == 0) stream.rewind();
  for (auto position = static_cast<std::uint64_t>(offset);; ++position) {
    if (position < 2) {
      if (!reply.add_dots(position, stream.directory())) break;
      continue;
    }
    const auto item = stream.at(position - 2);
    if (!item && reply.empty()) {
      lock.unlock();
      return fail(request, item.error());
    }
    if (item && *item == nullptr) given_to_the_end(parts_of(request), stream);
    if (!item || *item == nullptr) break;
    if (!reply.add(**item, stream.directory(), position + 1)) break;
  }
  lock.unlock();
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

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& ops) {
  using Kind = MountMetrics::Kind;
  ops.opendir = counted<Kind::kOpendir, on_opendir>;
  ops.releasedir = counted<Kind::kReleasedir, on_releasedir>;
  ops.readdir = counted<Kind::kReaddir, on_readdir>;
  ops.readdirplus = counted<Kind::kReaddirplus, on_readdirplus>;
}

}  // namespace skein
