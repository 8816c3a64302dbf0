#include "dataserver/kept_stages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>

#include <spdlog/spdlog.h>

#include "core/uuid.h"
#include "dataserver/directory_scan.h"
#include "dataserver/file_mark.h"
#include "dataserver/sealing.h"

namespace skein {
namespace {

constexpr std::string_view kPathEnding = ".path";
constexpr std::size_t kMostPathBytes = 4096;

std::string path_file(const std::string& id) { return id + std::string(kPathEnding); }

Result<void> write_path(int directory, const std::string& id, const ClusterPath& path) {
  const std::string name = path_file(id);
  const std::string text = path.text();
  const Fd fd(::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       0600));
  if (!fd) return errno_error(errno, "keep stage");
  if (::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return {};
  ::unlinkat(directory, name.c_str(), 0);
  return Error{std::errc::no_space_on_device, "keep stage: no space for its path"};
}

Result<ClusterPath> read_path(int directory, const std::string& id) {
  const Fd fd(::openat(directory, path_file(id).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno_error(errno, "path of kept stage " + id);
  std::array<char, kMostPathBytes> text{};
  const ssize_t n = ::read(fd.get(), text.data(), text.size());
  if (n < 0) return errno_error(errno, "path of kept stage " + id);
  return ClusterPath::parse({text.data(), static_cast<std::size_t>(n)});
}

Result<Fd> open_bytes(int directory, const std::string& id) {
  Fd fd(::openat(directory, id.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno_error(errno, "kept stage " + id);
  return fd;
}

}  // namespace

KeptStages::KeptStages(FileStore& store) : store_(store) {
  const int directory = store_.kept_directory();
  const auto names = names_in(directory);
  if (!names) return;
  for (const ScannedName& entry : *names) {
    if (!entry.name.ends_with(kPathEnding)) continue;
    const std::string id = entry.name.substr(0, entry.name.size() - kPathEnding.size());
    struct stat st {};
    const bool there = ::fstatat(directory, id.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
    // Published, and the server died before it took this name away.
    if (there && st.st_nlink > 1) ::unlinkat(directory, id.c_str(), 0);
    if (!there || st.st_nlink > 1) forget(id);
  }
  const auto kept = ids();
  if (!kept) return;
  for (const std::string& id : *kept) {
    if (!is_unproven(id)) continue;
    unproven_.insert(id);
    const auto path = read_path(directory, id);
    spdlog::error("a file kept of a dead writer may have lost bytes in an unclean stop and is not "
                  "published, see skein-dataserver(8): id={} path={}",
                  id, path ? path->text() : path.error().what);
  }
}

// Precondition: nobody changes the file.
bool KeptStages::is_unproven(const std::string& id) const {
  const auto fd = open_bytes(store_.kept_directory(), id);
  const auto found = fd ? found_at(fd->get()) : Result<Found>(fd.error());
  if (!found || !store_.may_have_lost(*found)) return false;
  const auto mark = read_mark(fd->get());
  return !mark || judge(*mark, *found) != MarkVerdict::kWhole;
}

Result<void> KeptStages::flush(const std::string& id) {
  const int directory = store_.kept_directory();
  const auto fd = open_bytes(directory, id);
  if (!fd) return fd.error();
  const Fd path(::openat(directory, path_file(id).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const Fd folder(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto found = found_at(fd->get());
  if (!found) return found.error();
  if (!path || !folder || ::fsync(fd->get()) != 0) return errno_error(errno, "flush kept stage");
  // The mark says that what it marks is on the disk, so it comes after that.
  if (auto marked = write_mark(fd->get(), {found->size_bytes, found->mtime_ns, {}, false}); !marked) {
    return marked;
  }
  for (const int file : {fd->get(), path.get(), folder.get()}) {
    if (::fsync(file) != 0) return errno_error(errno, "flush kept stage");
  }
  return {};
}

Result<std::string> KeptStages::keep(StagedFile& stage, const ClusterPath& path) {
  const std::string id = make_uuid();
  const int directory = store_.kept_directory();
  if (auto written = write_path(directory, id, path); !written) return written.error();
  auto linked = stage.link_as(directory, id);
  if (!linked && linked.error().code == std::errc::cross_device_link) {
    auto copy = store_.copy_to_shelf(stage.fd());
    linked = copy ? copy->link_as(directory, id) : Result<void>(copy.error());
  }
  if (linked) return id;
  forget(id);
  return linked.error();
}

Result<std::vector<std::string>> KeptStages::ids() const {
  const auto names = names_in(store_.kept_directory());
  if (!names) return names.error();
  std::vector<std::string> ids;
  for (const ScannedName& entry : *names) {
    if (is_uuid(entry.name)) ids.push_back(entry.name);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::size_t KeptStages::count() {
  const auto known = ids();
  return known ? known->size() : 0;
}

Result<KeptStages::Kept> KeptStages::next(const std::string& after) {
  const auto known = ids();
  if (!known) return known.error();
  auto found = std::upper_bound(known->begin(), known->end(), after);
  auto path = Result<ClusterPath>(ClusterPath());
  // A path that a power cut took must not hide the others.
  for (; found != known->end(); ++found) {
    path = read_path(store_.kept_directory(), *found);
    if (path && !path->is_root()) break;
  }
  if (found == known->end()) return Error{std::errc::no_such_file_or_directory, "no more kept stages"};
  auto fd = open_bytes(store_.kept_directory(), *found);
  if (!fd) return fd.error();
  const auto at = found_at(fd->get());
  if (!at) return at.error();
  return Kept{*found, std::move(*path), at->size_bytes, std::move(*fd)};
}

Result<void> KeptStages::publish(const std::string& id, const ClusterPath& path) {
  assert(is_uuid(id));
  const std::lock_guard lock(mutex_);
  if (unproven_.contains(id)) {
    return Error{std::errc::io_error,
                 "kept stage " + id + " may have lost bytes in an unclean stop of this node; they are "
                 "in " + store_.root_name() + "/.skein/kept/" + id};
  }
  auto fd = open_bytes(store_.kept_directory(), id);
  if (!fd) return fd.error();
  const auto found = found_at(fd->get());
  if (!found) return found.error();
  StagedFile stage(std::move(*fd), store_.kept_directory(), id);
  const auto published = seal(store_, stage, path, found->size_bytes);
  stage.keep_name();
  if (!published) return published.error();
  ::unlinkat(store_.kept_directory(), id.c_str(), 0);
  forget(id);
  return {};
}

Result<void> KeptStages::drop(const std::string& id) {
  assert(is_uuid(id));
  const std::lock_guard lock(mutex_);
  if (::unlinkat(store_.kept_directory(), id.c_str(), 0) != 0) {
    return errno_error(errno, "kept stage " + id);
  }
  forget(id);
  return {};
}

void KeptStages::forget(const std::string& id) const {
  ::unlinkat(store_.kept_directory(), path_file(id).c_str(), 0);
}

}  // namespace skein
