#include "dataserver/directory_index.h"

#include <unistd.h>

#include <unordered_set>
#include <vector>

#include "core/listing.h"
#include "core/uuid.h"

namespace skein {
namespace {

// Longest a listing waits for the scan that another thread began.
constexpr std::chrono::seconds kScanDeadline{60};
// The same of one who is told that it goes on, and how often he is told.
constexpr std::chrono::minutes kFollowedDeadline{10};
constexpr std::chrono::milliseconds kTellEvery{250};

// On kernels before 6.13 two changes within one timer tick leave the same mtime. A scan that began
// less than this after the directory's last change may have missed a later one of that tick.
constexpr std::int64_t kTickNs = 20'000'000;

std::int64_t wall_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::nanoseconds(now).count();
}

std::string as_member(std::string_view name, const Entry& entry) {
  std::string member;
  append_json(member, name, entry);
  return member;
}

// Of a path's text; "" for one in the root, and for the root.
std::string folder_of(const std::string& text) {
  const std::size_t slash = text.rfind('/');
  return slash == std::string::npos ? std::string() : text.substr(0, slash);
}

bool same_directory(const Found& a, const Found& b) {
  return a.inode == b.inode && a.device == b.device;
}

}  // namespace

struct DirectoryIndex::Cached {
  Order::iterator place;          // guarded by the index's mutex
  std::size_t counted_entries = 0;  // part of the index's total; guarded by the index's mutex

  std::mutex mutex;  // guards everything below; not held while the disk is asked
  std::condition_variable scan_ended;
  bool busy = false;         // a thread scans or refreshes
  bool names_stale = false;  // the server made a directory here since the scan began
  bool scanned = false;      // what follows is filled
  Found found;           // of the directory when scanned, mtime moved on by added()
  TimePoint scan_began{};
  TimePoint scan_finished{};     // on the real clock, to compare with `began` of added()
  TimePoint parts_checked{};
  // Changed since the scan, or scanned in the tick of a change, or torn files were left out.
  bool patched = false;
  bool parts_stale = false;
  std::string settled;           // JSON members, each followed by a comma
  std::size_t settled_count = 0;
  std::vector<Scan::File> growing;
  std::vector<Scan::Directory> directories;
  bool writable = false;
  struct Added {
    std::string name;
    Entry entry;
    TimePoint began;
  };
  std::vector<Added> added_meanwhile;  // while busy
  std::int64_t mtime_meanwhile_ns = 0;
  std::uint64_t generation = 0;
  std::shared_ptr<const std::string> json;  // null: to be composed

  std::size_t entries() const { return settled_count + growing.size() + directories.size(); }

  bool contains(std::string_view name) const {
    std::string key = as_member(name, Entry{});
    key.resize(key.find("\":[") + 3);
    return settled.find(key) != std::string::npos;
  }
  void append(std::string_view name, const Entry& entry) {
    append_json(settled, name, entry);
    settled += ',';
    ++settled_count;
  }
  // False: the scan saw it, which ended after its publish began.
  bool add_unseen(const Added& added) {
    if (scan_finished >= added.began && contains(added.name)) return false;
    append(added.name, added.entry);
    return true;
  }
  void changed(std::uint64_t new_generation) {
    generation = new_generation;
    json.reset();
  }
  // The end of a scan or refresh, with the lock held again: what was published during it.
  void end_busy() {
    busy = false;
    scan_ended.notify_all();
    if (added_meanwhile.empty()) return;
    patched = true;
    found.mtime_ns = std::max(found.mtime_ns, mtime_meanwhile_ns);
  }
};

DirectoryIndex::DirectoryIndex(int root, std::size_t max_entries, IsTorn is_torn, Clock clock)
    : root_(root),
      max_entries_(max_entries),
      is_torn_(std::move(is_torn)),
      clock_(std::move(clock)),
      etag_prefix_(make_uuid().substr(0, 13)) {}

std::shared_ptr<DirectoryIndex::Cached> DirectoryIndex::cached(const std::string& key, bool make) {
  const std::lock_guard lock(mutex_);
  const auto known = directories_.find(key);
  if (known != directories_.end()) {
    if (make) {
      least_recent_first_.splice(least_recent_first_.end(), least_recent_first_,
                                 known->second->place);
    }
    return known->second;
  }
  if (!make) return nullptr;
  auto fresh = std::make_shared<Cached>();
  fresh->place = least_recent_first_.insert(least_recent_first_.end(), key);
  directories_[key] = fresh;
  return fresh;
}

// False: it does not end.
bool DirectoryIndex::wait_for_scan(Cached& cached, ListingFollower* follower,
                                   std::unique_lock<std::mutex>& lock) {
  const auto free = [&] { return !cached.busy; };
  if (!follower) return cached.scan_ended.wait_for(lock, kScanDeadline, free);
  for (const Deadline end = Deadline::after(kFollowedDeadline); !end.passed();) {
    if (cached.scan_ended.wait_for(lock, kTellEvery, free)) return true;
    lock.unlock();
    follower->going_on();
    lock.lock();
  }
  return free();
}

Result<DirectoryIndex::View> DirectoryIndex::listing(const ClusterPath& path,
                                                     ListingFollower* follower) {
  const auto fd = open_beneath(root_, path, O_RDONLY | O_DIRECTORY);
  if (!fd) return fd.error();
  const std::string key = path.text();
  const std::shared_ptr<Cached> entry = cached(key, true);

  std::unique_lock lock(entry->mutex);
  if (!wait_for_scan(*entry, follower, lock)) {
    return Error{std::errc::timed_out, "listing of " + path.text() + " takes too long"};
  }
  // Under the lock, because a publish moves the believed mtime on; an open directory's attributes
  // are in memory.
  const auto found = found_at(fd->get());
  if (!found) return found.error();
  const TimePoint now = clock_();
  const auto scan_age = now - entry->scan_began;
  const bool names_hold = entry->scanned && !entry->names_stale && same_directory(entry->found, *found) &&
                          entry->found.mtime_ns == found->mtime_ns &&
                          !(entry->patched && scan_age > kPatchedTrust) &&
                          !(entry->writable && scan_age > kWritableTrust);
  const bool has_parts = !entry->directories.empty() || !entry->growing.empty();
  if (!names_hold) {
    entry->scan_began = now;
    scan_into(*entry, path, fd->get(), *found, follower, lock);
  } else if (has_parts && (entry->parts_stale || now - entry->parts_checked > kPartsTrust)) {
    entry->parts_checked = now;
    refresh_parts(*entry, fd->get(), lock);
  }
  if (!entry->scanned) return Error{std::errc::io_error, "cannot list " + path.text()};
  View view = view_of(*entry);
  const std::size_t entries = entry->entries();
  lock.unlock();

  const std::lock_guard total_lock(mutex_);
  const auto kept = directories_.find(key);
  if (kept == directories_.end() || kept->second != entry) return view;
  total_entries_ += entries - entry->counted_entries;
  entry->counted_entries = entries;
  make_room();
  return view;
}

void DirectoryIndex::scan_into(Cached& cached, const ClusterPath& path, int directory,
                               const Found& found, ListingFollower* follower,
                               std::unique_lock<std::mutex>& lock) {
  cached.busy = true;
  cached.names_stale = false;
  cached.added_meanwhile.clear();
  cached.mtime_meanwhile_ns = 0;
  const std::uint64_t generation = ++generations_;
  std::optional<FollowedScan> following;
  if (follower) {
    const bool known = cached.scanned && cached.generation > 0;
    following.emplace(*follower, etag_of(found, generation),
                      known ? etag_of(cached.found, cached.generation) : std::string());
  }
  lock.unlock();
  const std::int64_t began_ns = wall_ns();
  auto scanned = following ? scan(root_, directory, path, is_torn_, *following)
                           : scan(root_, directory, path, is_torn_);
  std::unordered_set<std::string_view> names;
  lock.lock();
  cached.scanned = scanned.ok();
  // The mtime from before the scan: a change during it shows as a different one next time.
  cached.found = found;
  cached.patched = began_ns - found.mtime_ns < kTickNs;
  cached.end_busy();
  if (!scanned) return;

  const std::string before = std::exchange(cached.settled, {});
  const std::size_t count_before = std::exchange(cached.settled_count, 0);
  cached.settled.reserve(before.size());
  for (const auto& [name, size] : scanned->settled) cached.append(name, file_entry(name, size));
  bool complete = true;
  // Publishes during the scan: some of them it has seen.
  if (!cached.added_meanwhile.empty()) {
    for (const auto& [name, size] : scanned->settled) names.insert(name);
    for (const auto& added : cached.added_meanwhile) {
      if (names.contains(added.name)) continue;
      cached.append(added.name, added.entry);
      complete = false;
    }
  }
  const bool same = cached.settled_count == count_before && cached.settled == before &&
                    cached.growing == scanned->growing && cached.directories.empty() &&
                    scanned->directories.empty();
  cached.growing = std::move(scanned->growing);
  cached.directories = std::move(scanned->directories);
  cached.writable = scanned->writable;
  cached.patched = cached.patched || scanned->withheld;
  cached.parts_stale = false;
  cached.parts_checked = cached.scan_began;
  cached.scan_finished = now();
  if (following && following->begun()) {
    // What was sent has this number; with names that it lacks the listing is another one.
    cached.changed(complete ? generation : ++generations_);
  } else if (!same || cached.generation == 0) {
    cached.changed(generation);
  }
}

void DirectoryIndex::refresh_parts(Cached& cached, int directory,
                                   std::unique_lock<std::mutex>& lock) {
  cached.busy = true;
  cached.parts_stale = false;
  cached.added_meanwhile.clear();
  cached.mtime_meanwhile_ns = 0;
  auto directories = cached.directories;
  auto growing = cached.growing;
  lock.unlock();
  bool changed = false;
  for (Scan::Directory& part : directories) {
    const auto found = find_in(directory, part.name.c_str());
    if (!found || !*found || (*found)->kind != Found::Kind::kDirectory) continue;
    if (**found == part.found) continue;
    const Fd fd(::openat(directory, part.name.c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const auto summary = fd ? summarize(fd.get()) : Result<Summary>(part.summary);
    if (!summary) continue;
    changed = changed || summary->entry() != part.summary.entry();
    part.summary = *summary;
    part.found = **found;
  }
  for (auto& [name, size] : growing) {
    const auto found = find_in(directory, name.c_str());
    if (!found || !*found || (*found)->kind != Found::Kind::kFile) continue;
    const auto now_bytes = static_cast<std::int64_t>((*found)->size_bytes);
    changed = changed || size != now_bytes;
    size = now_bytes;
  }
  lock.lock();
  cached.end_busy();
  cached.directories = std::move(directories);
  cached.growing = std::move(growing);
  for (const auto& added : cached.added_meanwhile) {
    changed = cached.add_unseen(added) || changed;
  }
  if (changed) cached.changed(++generations_);
}

DirectoryIndex::View DirectoryIndex::view_of(Cached& cached) {
  if (!cached.json) {
    auto text = std::make_shared<std::string>();
    const std::size_t parts = cached.growing.size() + cached.directories.size();
    text->reserve(cached.settled.size() + 48 * parts + 2);
    *text += '{';
    *text += cached.settled;
    for (const auto& [name, size] : cached.growing) {
      append_json(*text, name, file_entry(name, size));
      *text += ',';
    }
    for (const Scan::Directory& directory : cached.directories) {
      append_json(*text, directory.name, directory.summary.entry());
      *text += ',';
    }
    if (text->size() > 1) text->pop_back();
    *text += '}';
    cached.json = std::move(text);
  }
  return {cached.json, etag_of(cached.found, cached.generation)};
}

std::string DirectoryIndex::etag_of(const Found& directory, std::uint64_t generation) const {
  return '"' + etag_prefix_ + '-' + std::to_string(directory.inode) + '-' +
         std::to_string(generation) + '"';
}

void DirectoryIndex::made_directory(const ClusterPath& path) {
  for (ClusterPath at = path; !at.is_root(); at = at.parent()) {
    if (const auto above = cached(at.parent().text(), false)) {
      const std::lock_guard lock(above->mutex);
      above->names_stale = true;
    }
  }
}

void DirectoryIndex::changed(const ClusterPath& path) {
  const ClusterPath parent = path.parent();
  if (const auto known = cached(parent.text(), false)) {
    const std::lock_guard lock(known->mutex);
    known->names_stale = true;
  }
  if (parent.is_root()) return;
  if (const auto above = cached(parent.parent().text(), false)) {
    const std::lock_guard lock(above->mutex);
    above->parts_stale = true;
  }
}

void DirectoryIndex::added(const ClusterPath& path, std::uint64_t size_bytes, int directory,
                           TimePoint began) {
  const std::string parent = folder_of(path.text());
  if (!parent.empty()) {
    if (const auto above = cached(folder_of(parent), false)) {
      const std::lock_guard lock(above->mutex);
      above->parts_stale = true;
    }
  }
  const auto known = cached(parent, false);
  if (!known) return;
  const auto after = found_at(directory);
  const std::string name = path.name();
  const Entry entry = file_entry(name, static_cast<std::int64_t>(size_bytes));

  const std::lock_guard lock(known->mutex);
  if (known->busy) {
    known->added_meanwhile.push_back({name, entry, began});
    if (after) known->mtime_meanwhile_ns = std::max(known->mtime_meanwhile_ns, after->mtime_ns);
    return;
  }
  if (!known->scanned || !after || !same_directory(known->found, *after)) return;
  known->patched = true;
  known->found.mtime_ns = std::max(known->found.mtime_ns, after->mtime_ns);
  if (known->add_unseen({name, entry, began})) known->changed(++generations_);
}

void DirectoryIndex::make_room() {
  // The newest stays, however large: it was just asked for.
  while (total_entries_ > max_entries_ && least_recent_first_.size() > 1) {
    const auto oldest = directories_.find(least_recent_first_.front());
    total_entries_ -= oldest->second->counted_entries;
    oldest->second->counted_entries = 0;
    directories_.erase(oldest);
    least_recent_first_.pop_front();
  }
}

std::size_t DirectoryIndex::cached_entries() const {
  const std::lock_guard lock(mutex_);
  return total_entries_;
}

}  // namespace skein
