#include "dataserver/growing_files.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "core/uuid.h"
#include "dataserver/directory_scan.h"

namespace skein {
namespace {

constexpr const char* kJournals = "append";
constexpr mode_t kSealedMode = 0440;
constexpr std::chrono::seconds kFlushDeadline{60};
// A listing believes the size of a file that has not grown for kSettleTime; the first append after
// half of that tells it to look again.
constexpr std::int64_t kNoteAgain_ns = std::chrono::nanoseconds(kSettleTime).count() / 2;
// A file may be sealed, or taken away by hand, between finding and using it.
constexpr int kMaxRaces = 3;

Error stands_there(const ClusterPath& path) {
  return {std::errc::file_exists, path.text() + " exists and does not grow: it was sealed, or put"};
}

std::int64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::nanoseconds(now).count();
}

}  // namespace

struct GrowingFiles::Entry {
  explicit Entry(std::string name) : journal(std::move(name)) {}

  const std::string journal;  // its name in the journals' folder
  std::atomic<std::uint64_t> committed = 0;
  std::atomic<std::int64_t> noted_ns = 0;  // when a listing was last told of growth
  std::shared_ptr<GrowingFile> file;       // null: to be opened
  std::uint64_t used = 0;

  // An older append may come later.
  void grew_to(std::uint64_t size) {
    std::uint64_t known = committed;
    while (known < size && !committed.compare_exchange_weak(known, size)) {
    }
  }
};

GrowingFiles::GrowingFiles(FileStore& store, Fd journals)
    : store_(store), journals_(std::move(journals)) {}

Result<std::unique_ptr<GrowingFiles>> GrowingFiles::open(FileStore& store) {
  const int folder = store.private_directory();
  if (::mkdirat(folder, kJournals, 0700) != 0 && errno != EEXIST) {
    return errno_error(errno, "append journals");
  }
  Fd journals(::openat(folder, kJournals, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!journals) return errno_error(errno, "append journals");
  std::unique_ptr<GrowingFiles> files(new GrowingFiles(store, std::move(journals)));
  const auto names = names_in(files->journals_.get());
  if (!names) return names.error();
  for (const ScannedName& entry : *names) files->take_up(entry.name);
  return files;
}

// One journal found at the start.
void GrowingFiles::take_up(const std::string& journal_name) {
  if (!is_uuid(journal_name)) return;
  auto journal = AppendJournal::open(journals_.get(), journal_name);
  if (!journal) {
    spdlog::error("a file grows no more, its journal is damaged: journal={} why={}", journal_name,
                  journal.error().what);
    return;
  }
  const ClusterPath path = journal->path();
  const auto drop_journal = [&] { ::unlinkat(journals_.get(), journal_name.c_str(), 0); };
  const auto found = find_beneath(store_.root(), path);
  if (!found) return;
  // Never made, taken away by hand, or sealed when the server ended.
  const bool grows = *found && (*found)->kind == Found::Kind::kFile && (*found)->writable;
  if (!grows) return drop_journal();
  auto fd = open_beneath(store_.root(), path, O_RDWR | O_NOFOLLOW);
  const auto check = store_.may_have_lost(**found) ? GrowingFile::Check::kBytes
                                                              : GrowingFile::Check::kLength;
  auto file = fd ? GrowingFile::resume(std::move(*fd), std::move(*journal), flush(), check)
                 : Result<std::unique_ptr<GrowingFile>>(fd.error());
  if (!file) {
    spdlog::error("a growing file cannot be taken up, it takes no appends: path={} why={}",
                  path.text(), file.error().what);
    return;
  }
  if ((*file)->untouched() && (*file)->committed_bytes() == 0) {
    // Its first append was never acknowledged.
    if (const auto parent = open_directory(store_.root(), path.parent(), Missing::kFail)) {
      ::unlinkat(parent->get(), path.name().c_str(), 0);
    }
    return drop_journal();
  }
  if (!(*found)->grows) (void)::fchmod((*file)->fd(), kGrowingMode);
  auto entry = std::make_shared<Entry>(journal_name);
  entry->committed = (*file)->committed_bytes();
  entries_[path.text()] = std::move(entry);
}

GrowingFile::Flush GrowingFiles::flush() {
  SyncGate* const gate = store_.gate();
  if (gate == nullptr) return {};
  return [gate] { return gate->wait(gate->ticket(), Deadline::after(kFlushDeadline)); };
}

GrowingFiles::EntryPtr GrowingFiles::find(const ClusterPath& path) const {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(path.text());
  return known == entries_.end() ? nullptr : known->second;
}

std::optional<std::uint64_t> GrowingFiles::committed_bytes(const ClusterPath& path) const {
  const EntryPtr entry = find(path);
  if (!entry) return std::nullopt;
  return entry->committed;
}

std::size_t GrowingFiles::count() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

Result<GrowingFile::Appended> GrowingFiles::append(const ClusterPath& path, const AppendBytes& body,
                                                   const std::optional<RequestId>& request) {
  if (auto room = store_.check_space(size_of(body)); !room) return room.error();
  store_.writing();
  for (int race = 0;; ++race) {
    auto entry = find_or_make(path);
    if (!entry) return entry.error();
    auto file = opened(**entry, path);
    const bool gone = !file && file.error().code == std::errc::no_such_file_or_directory;
    if (!file && !gone) return file.error();
    auto appended = file ? (*file)->append(body, request)
                         : Result<GrowingFile::Appended>(Error{std::errc::no_link, {}});
    if (appended) {
      (*entry)->grew_to(appended->offset + appended->length);
      note_growth(**entry, path);
      return appended;
    }
    if (appended.error().code != std::errc::no_link || race == kMaxRaces) {
      if (file && (*file)->end_if_untouched()) abandon(path, *entry);
      return appended;
    }
    forget(path, *entry);
  }
}

Result<GrowingFiles::EntryPtr> GrowingFiles::find_or_make(const ClusterPath& path) {
  if (EntryPtr known = find(path)) return known;
  const std::lock_guard lock(making_);
  if (EntryPtr known = find(path)) return known;
  return make(path);
}

// The journal comes first: a file without one would be taken for a whole one after a crash.
Result<GrowingFiles::EntryPtr> GrowingFiles::make(const ClusterPath& path) {
  if (path.is_root()) return stands_there(path);
  auto entry = std::make_shared<Entry>(make_uuid());
  auto journal = AppendJournal::create(journals_.get(), entry->journal, path);
  if (!journal) return journal.error();
  Result<void> safe;
  if (store_.gate() && (::fsync(journal->fd()) != 0 || ::fsync(journals_.get()) != 0)) {
    safe = errno_error(errno, "append journal");
  }
  auto file = safe ? make_file(path) : Result<Fd>(safe.error());
  if (!file) {
    ::unlinkat(journals_.get(), entry->journal.c_str(), 0);
    return file.error();
  }
  entry->file = std::make_shared<GrowingFile>(std::move(*file), std::move(*journal), flush());
  close_least_recent();
  const std::lock_guard lock(mutex_);
  entry->used = ++uses_;
  ++open_;
  entries_[path.text()] = entry;
  return entry;
}

Result<Fd> GrowingFiles::make_file(const ClusterPath& path) {
  auto parent = open_directory(store_.root(), path.parent(), Missing::kMake);
  if (!parent) {
    if (parent.error().code == std::errc::not_a_directory) return stands_there(path);
    return parent.error();
  }
  if (!path.parent().is_root()) store_.index().made_directory(path.parent());
  Fd file(::openat(parent->get(), path.name().c_str(),
                   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kGrowingMode));
  if (!file) return errno == EEXIST ? stands_there(path) : errno_error(errno, path.text());
  // Whatever the umask.
  if (::fchmod(file.get(), kGrowingMode) != 0) return errno_error(errno, path.text());
  return file;
}

Result<std::shared_ptr<GrowingFile>> GrowingFiles::opened(Entry& entry, const ClusterPath& path) {
  {
    const std::lock_guard lock(mutex_);
    entry.used = ++uses_;
    if (entry.file) return entry.file;
  }
  const std::lock_guard one(making_);
  {
    const std::lock_guard lock(mutex_);
    if (entry.file) return entry.file;
  }
  close_least_recent();
  auto fd = open_beneath(store_.root(), path, O_RDWR | O_NOFOLLOW);
  if (!fd) return fd.error();
  auto journal = AppendJournal::open(journals_.get(), entry.journal);
  if (!journal) return journal.error();
  auto file = GrowingFile::resume(std::move(*fd), std::move(*journal), flush(),
                                  GrowingFile::Check::kLength);
  if (!file) return file.error();
  const std::lock_guard lock(mutex_);
  entry.file = std::move(*file);
  ++open_;
  return entry.file;
}

void GrowingFiles::close_least_recent() {
  const std::lock_guard lock(mutex_);
  if (open_ < kMostOpen) return;
  Entry* oldest = nullptr;
  for (const auto& [path, entry] : entries_) {
    // One that is in use stays, or two would write to one file.
    if (!entry->file || entry->file.use_count() > 1) continue;
    if (oldest == nullptr || entry->used < oldest->used) oldest = entry.get();
  }
  if (oldest == nullptr) return;
  oldest->file.reset();
  --open_;
}

void GrowingFiles::forget(const ClusterPath& path, const EntryPtr& entry) {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(path.text());
  if (known == entries_.end() || known->second != entry) return;
  if (entry->file) --open_;
  entries_.erase(known);
  ::unlinkat(journals_.get(), entry->journal.c_str(), 0);
}

// A new file whose first append failed.
void GrowingFiles::abandon(const ClusterPath& path, const EntryPtr& entry) {
  if (const auto parent = open_directory(store_.root(), path.parent(), Missing::kFail)) {
    ::unlinkat(parent->get(), path.name().c_str(), 0);
  }
  forget(path, entry);
  store_.index().changed(path);
}

void GrowingFiles::note_growth(Entry& entry, const ClusterPath& path) {
  const std::int64_t now = now_ns();
  const std::int64_t before = entry.noted_ns.load(std::memory_order_relaxed);
  if (before != 0 && now - before < kNoteAgain_ns) return;
  entry.noted_ns.store(now, std::memory_order_relaxed);
  store_.index().changed(path);
}

Result<void> GrowingFiles::seal(const ClusterPath& path) {
  const EntryPtr entry = find(path);
  if (!entry) {
    const auto found = store_.open_file(path);
    if (!found) return found.error();
    if (!found->found.grows) return {};
    return Error{std::errc::io_error, path.text() + " cannot be sealed: its journal is damaged"};
  }
  auto file = opened(*entry, path);
  if (!file) return file.error();
  (*file)->end_growth();
  const int fd = (*file)->fd();
  // What is sealed is believed for ever, so it has to be on the disk, whatever --sync says; and the
  // mode says after a crash that it was complete.
  if (::fdatasync(fd) != 0 || ::fchmod(fd, kSealedMode) != 0 || ::fsync(fd) != 0) {
    const Error failure = errno_error(errno, "seal " + path.text());
    (void)::fchmod(fd, kGrowingMode);
    (*file)->go_on();
    return failure;
  }
  forget(path, entry);
  store_.index().changed(path);
  return {};
}

}  // namespace skein
