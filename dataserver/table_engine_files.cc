#include "dataserver/table_engine_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <spdlog/spdlog.h>

#include "dataserver/file_copy.h"
#include "dataserver/grown_mark.h"

namespace skein {
namespace {

constexpr mode_t kSealedMode = 0440;
constexpr std::chrono::seconds kFlushDeadline{60};

Result<void> flush(FileStore& store) {
  SyncGate* const gate = store.gate();
  if (gate == nullptr) return {};
  return gate->wait(gate->ticket(), Deadline::after(kFlushDeadline));
}

Error no_growth(const ClusterPath& path) {
  return {std::errc::no_link, path.text() + " does not grow: it was sealed, or put whole"};
}

}  // namespace

TableFile::Options table_options(FileStore& store, int journals, const ClusterPath& path) {
  return {journals, path.text(), store.gate() != nullptr};
}

Result<TableEngine::Open*> TableEngine::opened(const ClusterPath& path, Missing missing) {
  const std::string key = path.text();
  const auto found = find_beneath(store_.root(), path);
  if (!found) return found.error();
  const auto known = open_.find(key);
  if (known != open_.end()) {
    Open& open = *known->second;
    // Not what stands there any more: taken away, replaced or sealed by hand.
    const bool same = *found && (*found)->inode == open.inode && (*found)->device == open.device &&
                      (*found)->writable == open.grows;
    if (same && !open.file->spoilt()) {
      open.used = std::chrono::steady_clock::now();
      if (missing == Missing::kMake && !open.grows) return no_growth(path);
      return &open;
    }
    close(key);
  }
  if (!*found && missing == Missing::kFail) {
    return Error{std::errc::no_such_file_or_directory, path.text() + ": no such file"};
  }
  if (*found && missing == Missing::kMake &&
      ((*found)->kind != Found::Kind::kFile || !(*found)->writable)) {
    return no_growth(path);
  }
  auto open = *found ? open_file(path, **found) : make_file(path);
  if (!open) return open.error();
  if (open_.size() >= kMostOpen) {
    const auto oldest = std::min_element(open_.begin(), open_.end(), [](const auto& a, const auto& b) {
      return a.second->used < b.second->used;
    });
    close(oldest->first);
  }
  return (open_[key] = std::move(*open)).get();
}

Result<std::unique_ptr<TableEngine::Open>> TableEngine::open_file(const ClusterPath& path,
                                                                  const Found& found) {
  auto open = std::make_unique<Open>();
  open->grows = found.writable;
  open->marked = found.grows;
  open->inode = found.inode;
  open->device = found.device;
  auto fd = open_beneath(store_.root(), path,
                         (open->grows ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) return fd.error();
  if (!open->grows && !has_grown(fd->get())) {
    return Error{std::errc::not_supported, path.text() + ": not made by this server"};
  }
  auto file = open->grows
                  ? TableFile::open(std::move(*fd), table_options(store_, journals_.get(), path))
                  : TableFile::open_for_reading(std::move(*fd));
  if (!file) {
    const bool damaged = file.error().code == std::errc::bad_message;
    return damaged ? Error{std::errc::not_supported, path.text() + ": " + file.error().what}
                   : file.error();
  }
  open->file = std::move(*file);
  return open;
}

Result<std::unique_ptr<TableEngine::Open>> TableEngine::make_file(const ClusterPath& path) {
  auto stage = store_.stage(path, 0);
  if (!stage) {
    return stage.error().code == std::errc::file_exists ? no_growth(path) : stage.error();
  }
  Fd fd(::fcntl(stage->fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return errno_error(errno, path.text());
  auto file = TableFile::create(std::move(fd), table_options(store_, journals_.get(), path));
  if (!file) return file.error();
  auto open = std::make_unique<Open>();
  open->file = std::move(*file);
  open->stage.emplace(std::move(*stage));
  open->visible = false;
  return open;
}

// The first commit makes the file: whole, and then visible.
Result<void> TableEngine::commit_new(const ClusterPath& path, Open& open) {
  if (auto committed = open.file->commit(); !committed) return committed;
  const auto parent = open_directory(store_.root(), path.parent(), skein::Missing::kMake);
  if (!parent) return parent.error();
  store_.index().made_directory(path.parent());
  if (::fchmod(open.file->fd(), kGrowingMode) != 0) return errno_error(errno, path.text());
  if (auto safe = flush(store_); !safe) return safe;
  if (auto linked = open.stage->link_as(parent->get(), path.name()); !linked) {
    return linked.error().code == std::errc::file_exists ? no_growth(path) : linked.error();
  }
  open.stage.reset();
  open.visible = true;
  open.marked = true;
  if (const auto found = found_at(open.file->fd())) {
    open.inode = found->inode;
    open.device = found->device;
  }
  if (auto safe = flush(store_); !safe) return safe;
  // Without a journal it is opened anew for the next change.
  if (const auto started = open.file->start_journal(); !started) {
    spdlog::warn("no journal for a growing table: path={} why={}", path.text(), started.error().what);
  }
  return {};
}

void TableEngine::close(const std::string& key) {
  const auto known = open_.find(key);
  if (known == open_.end()) return;
  if (const auto closed = known->second->file->close(); !closed) {
    spdlog::error("a table could not be closed, its journal stays: path={} why={}", key,
                  closed.error().what);
  }
  open_.erase(known);
}

void TableEngine::close_unused() {
  const auto now = std::chrono::steady_clock::now();
  for (auto it = open_.begin(); it != open_.end();) {
    const auto next = std::next(it);
    if (now - it->second->used > kIdleTime) close(std::string(it->first));
    it = next;
  }
}

// Changes are made by this thread, so the file is at rest while it is copied.
Result<FileStore::OpenFile> TableEngine::snapshot(const ClusterPath& path) {
  auto file = store_.open_file(path);
  if (!file) return file.error();
  auto copy = store_.copy_to_shelf(file->fd.get());
  if (!copy) return copy.error();
  Fd fd(::fcntl(copy->fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return errno_error(errno, path.text());
  return FileStore::OpenFile{std::move(fd), file->found, std::nullopt};
}

Result<void> TableEngine::seal(const ClusterPath& path) {
  close(path.text());
  const auto fd = open_beneath(store_.root(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) return fd.error();
  // Of what is sealed already nobody knows any more that it grew.
  if (const auto found = found_at(fd->get()); found && found->writable) mark_as_grown(fd->get());
  // What is sealed is believed for ever: it has to be on the disk, whatever --sync says.
  if (::fdatasync(fd->get()) != 0 || ::fchmod(fd->get(), kSealedMode) != 0 ||
      ::fsync(fd->get()) != 0) {
    return errno_error(errno, "seal " + path.text());
  }
  store_.index().changed(path);
  return {};
}

}  // namespace skein
