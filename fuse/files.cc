#include "fuse/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "fuse/dying_writer.h"

namespace skein {
namespace {

bool wants_to_write(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0; }

Error sealed_error(const ClusterPath& path) {
  return {std::errc::operation_not_permitted,
          "/" + path.text() + " is sealed: files are written once"};
}

Result<void> truncate(WriteSession& session, std::uint64_t size_bytes) {
  if (::ftruncate(session.fd(), static_cast<off_t>(size_bytes)) == 0) {
    session.truncated(size_bytes);
    return {};
  }
  return errno_error(errno, "truncate /" + session.path().text());
}

}  // namespace

Result<std::unique_ptr<OpenFile>> Files::open(Inode inode, int flags) {
  if (const auto session = parts_.unsealed.find(inode)) {
    // Sealed in the meantime: the same inode is opened for what it is now.
    if (!parts_.unsealed.wait_if_closing(session)) return open_session(session, flags);
  }
  return open_sealed(inode, flags);
}

Result<std::unique_ptr<OpenFile>> Files::open_session(const Unsealed::Session& session,
                                                      int flags) {
  auto file = std::make_unique<OpenFile>();
  file->inode = session->inode();
  file->session = session;
  if (!wants_to_write(flags)) {
    auto reader = session->open_reader();
    if (!reader) return reader.error();
    file->reader = std::move(*reader);
    return file;
  }
  if (auto added = parts_.unsealed.add_writer(session); !added) return added.error();
  file->writes = true;
  if (flags & O_TRUNC) {
    session->changed();
    if (auto cut = truncate(*session, 0); !cut) {
      parts_.unsealed.close_writer(session);
      return cut.error();
    }
  }
  return file;
}

Result<std::unique_ptr<OpenFile>> Files::open_sealed(Inode inode, int flags) {
  auto path = parts_.tree.path_of(inode);
  if (!path) return path.error();
  if (parts_.tree.grows(inode, *path)) return open_growing(inode, *path, flags);
  if (wants_to_write(flags)) return sealed_error(*path);
  auto sealed = SealedFile::open(parts_.reading, *path);
  if (!sealed) {
    if (sealed.error().code != std::errc::no_such_file_or_directory) return sealed.error();
    parts_.tree.distrust_parent_of(inode);
    return Error{static_cast<std::errc>(ESTALE), sealed.error().what};
  }
  auto file = std::make_unique<OpenFile>();
  file->inode = inode;
  file->sealed = std::move(*sealed);
  return file;
}

Result<std::unique_ptr<OpenFile>> Files::open_growing(Inode inode, const ClusterPath& path,
                                                      int flags) {
  const bool writes = wants_to_write(flags);
  if (writes) {
    if (auto may = may_append(path, flags); !may) return may.error();
  }
  auto file = std::make_unique<OpenFile>();
  file->inode = inode;
  file->growing = std::make_unique<GrowingHandle>(parts_.growing, path, writes);
  const auto found = file->growing->find();
  if (found) return file;
  if (found.error().code != std::errc::no_such_file_or_directory) return found.error();
  parts_.tree.distrust_parent_of(inode);
  return Error{static_cast<std::errc>(ESTALE), found.error().what};
}

Result<std::pair<Shown, std::unique_ptr<OpenFile>>> Files::create_growing(Inode parent,
                                                                          std::string_view name,
                                                                          const ClusterPath& path,
                                                                          int flags) {
  if (auto may = may_append(path, flags); !may) return may.error();
  auto file = std::make_unique<OpenFile>();
  file->growing = std::make_unique<GrowingHandle>(parts_.growing, path, true);
  if (auto made = file->growing->make(); !made) return made.error();
  auto shown = parts_.tree.growing(parent, name, path);
  if (!shown) return shown.error();
  file->inode = shown->inode();
  return std::pair(*shown, std::move(file));
}

Result<void> Files::append(const OpenFile& file, std::span<const char> bytes) {
  const auto size_bytes = file.growing->append(bytes);
  if (!size_bytes) return size_bytes.error();
  parts_.tree.grew(file.inode, *size_bytes);
  return {};
}

Result<std::pair<Shown, std::unique_ptr<OpenFile>>> Files::create(Inode parent,
                                                                  std::string_view name,
                                                                  int flags) {
  auto path = parts_.tree.path_of(parent, name);
  if (!path) return path.error();
  const auto existing = parts_.tree.lookup(parent, name);
  if (existing) {
    if (flags & O_EXCL) return Error{std::errc::file_exists, "/" + path->text() + " exists"};
    if (existing->kind == Shown::Kind::kDirectory) {
      return Error{std::errc::is_a_directory, "/" + path->text() + " is a directory"};
    }
    auto opened = open(existing->inode(), flags);
    if (!opened) return opened.error();
    return std::pair(*existing, std::move(*opened));
  }
  if (existing.error().code != std::errc::no_such_file_or_directory) return existing.error();
  if (may_grow(*path)) return create_growing(parent, name, *path, flags);
  auto session = WriteSession::begin(parts_.writing, *path, parts_.inodes.new_private());
  if (!session) return session.error();
  auto added = parts_.unsealed.add({parent, std::string(name)}, *session);
  if (!added) {
    (*session)->drop();
    const auto other = parts_.unsealed.find({parent, std::string(name)});
    if ((flags & O_EXCL) || !other) return added.error();
    auto opened = open_session(other, flags);
    if (!opened) return opened.error();
    return std::pair(parts_.tree.show(*other), std::move(*opened));
  }
  auto file = std::make_unique<OpenFile>();
  file->inode = (*session)->inode();
  file->session = *session;
  file->writes = true;
  return std::pair(parts_.tree.show(**session), std::move(file));
}

Result<void> Files::flush(const OpenFile& file, int thread) {
  if (!file.writes) return {};
  const bool killed = is_dying_of_signal(thread);
  parts_.unsealed.note_killed(file.session, killed);
  // A file about to be dropped needs no stage.
  if (killed || !parts_.unsealed.contains(file.session)) return {};
  return file.session->flush();
}

Result<void> Files::sync(const OpenFile& file) {
  if (!file.writes || !parts_.unsealed.contains(file.session)) return {};
  return file.session->sync();
}

void Files::release(std::unique_ptr<OpenFile> file) {
  if (file->writes) parts_.unsealed.close_writer(file->session);
}

Result<void> Files::before_write(const OpenFile& file, std::uint64_t end) {
  if (!file.writes) return Error{std::errc::bad_file_descriptor, "not open for writing"};
  file.session->changed();
  auto allowed = file.session->allow_size(end);
  if (!allowed) file.session->write_failed(allowed.error().code);
  return allowed;
}

Result<void> Files::set_size(Inode inode, const OpenFile* file, std::uint64_t size_bytes) {
  const auto session = parts_.unsealed.find(inode);
  if (!session && file != nullptr && file->writes) {  // unlinked: only its writers know it
    auto allowed = file->session->allow_size(size_bytes);
    return allowed ? truncate(*file->session, size_bytes) : allowed;
  }
  if (!session || parts_.unsealed.wait_if_closing(session)) {
    auto path = parts_.tree.path_of(inode);
    return path ? sealed_error(*path) : path.error();
  }
  // Counted as a writer for the moment, so that no seal comes between.
  if (auto added = parts_.unsealed.add_writer(session); !added) return added.error();
  session->changed();
  auto allowed = session->allow_size(size_bytes);
  auto cut = allowed ? truncate(*session, size_bytes) : allowed;
  parts_.unsealed.close_writer(session);
  return cut;
}

Result<void> Files::remove(Inode parent, std::string_view name) {
  const Unsealed::Place place{parent, std::string(name)};
  const auto session = parts_.unsealed.find(place);
  if (session && !parts_.unsealed.wait_if_closing(session)) return parts_.unsealed.remove(place);
  const auto existing = parts_.tree.lookup(parent, name);
  if (!existing) return existing.error();
  auto path = parts_.tree.path_of(parent, name);
  return path ? sealed_error(*path) : path.error();
}

Result<void> Files::rename(Unsealed::Place from, Unsealed::Place to) {
  auto to_path = parts_.tree.path_of(to.directory, to.name);
  if (!to_path) return to_path.error();
  const auto session = parts_.unsealed.find(from);
  if (!session || parts_.unsealed.wait_if_closing(session)) {
    const auto existing = parts_.tree.lookup(from.directory, from.name);
    if (!existing) return existing.error();
    auto path = parts_.tree.path_of(from.directory, from.name);
    return path ? sealed_error(*path) : path.error();
  }
  const auto target = parts_.tree.lookup(to.directory, to.name);
  if (target && target->kind != Shown::Kind::kUnsealed) {
    if (target->kind == Shown::Kind::kDirectory) {
      return Error{std::errc::is_a_directory, "/" + to_path->text() + " is a directory"};
    }
    return sealed_error(*to_path);
  }
  if (!target && target.error().code != std::errc::no_such_file_or_directory) {
    return target.error();
  }
  return parts_.unsealed.rename(from, to, *to_path);
}

}  // namespace skein
