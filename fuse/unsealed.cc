#include "fuse/unsealed.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "fuse/inode_table.h"

namespace skein {

using namespace std::chrono_literals;

namespace {

bool is_all_alnum(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c); });
}

// ".name.XXXXXX": rsync's, and mkstemp's in its wake.
bool is_rsync_name(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return name.starts_with('.') && dot != 0 && name.size() - dot == 7 &&
         is_all_alnum(name.substr(dot + 1));
}

// "ziXXXXXX": what zip(1) writes before it renames.
bool is_zip_name(std::string_view name) {
  return name.size() == 8 && name.starts_with("zi") && is_all_alnum(name);
}

// zip(1) tries whether it may write by an empty x.zip, which it takes away again.
bool is_zip_probe(std::string_view name, const Unsealed::Session& session) {
  if (!name.ends_with(".zip")) return false;
  const auto status = session->status();
  return status && status->st_size == 0;
}

Error being_sealed(const ClusterPath& path) {
  return {std::errc::operation_not_permitted, "/" + path.text() + " is sealed"};
}

}  // namespace

bool is_temporary_name(std::string_view name) {
  static constexpr std::array kSuffixes{".tmp", ".temp", ".part", ".partial", ".lock", ".new",
                                        ".crdownload", ".swp", "~", ".incomplete", "-journal",
                                        "-wal", "-shm"};
  static constexpr std::array kPrefixes{"tmp_", ".tmp", "tmp.", ".~", ".goutputstream-", ".fuse_"};
  return is_rsync_name(name) || is_zip_name(name) ||
         std::any_of(kSuffixes.begin(), kSuffixes.end(),
                     [&](std::string_view suffix) { return name.ends_with(suffix); }) ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

Unsealed::Unsealed(Options options, OnSealed on_sealed)
    : options_(options),
      on_sealed_(std::move(on_sealed)),
      sealed_([this](const std::vector<Sealed>& sealed) { noted(sealed); }),
      linger_thread_([this](std::stop_token stop) { run_linger(std::move(stop)); }) {}

Unsealed::~Unsealed() { end(End::kForced); }

Unsealed::Session Unsealed::find(const Place& place) const {
  const std::lock_guard lock(mutex_);
  const auto found = records_.find(place);
  return found == records_.end() ? nullptr : found->second.session;
}

Unsealed::Session Unsealed::find(Inode inode) const {
  if (!is_private_inode(inode)) return nullptr;
  const std::lock_guard lock(mutex_);
  for (const auto& [place, record] : records_) {
    if (record.session->inode() == inode) return record.session;
  }
  return nullptr;
}

std::vector<std::pair<std::string, Unsealed::Session>> Unsealed::in_directory(
    Inode directory) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, Session>> found;
  for (auto at = records_.lower_bound({directory, ""});
       at != records_.end() && at->first.directory == directory; ++at) {
    found.emplace_back(at->first.name, at->second.session);
  }
  return found;
}

bool Unsealed::contains(const Session& session) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(records_.begin(), records_.end(),
                     [&](const auto& pair) { return pair.second.session == session; });
}

bool Unsealed::schedule(const Place& place, Record& record) const {
  const bool linger = (is_temporary_name(place.name) || is_zip_probe(place.name, record.session)) &&
                      options_.linger.count() > 0;
  record.sealing = !linger && !record.held;
  record.due = std::chrono::steady_clock::now() + (linger ? options_.linger : 0ms);
  return record.sealing;
}

Unsealed::Records::iterator Unsealed::locate(const Session& session) {
  return std::find_if(records_.begin(), records_.end(),
                      [&](const auto& pair) { return pair.second.session == session; });
}

bool Unsealed::wait_if_closing(const Session& session) {
  const Deadline patience = Deadline::after(kClosingPatience);
  const Deadline deadline = Deadline::after(options_.deadline);
  const Gathered<Sealed>::Hurry hurry(sealed_);
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto record = locate(session);
    if (record == records_.end()) return true;
    const bool sealing = record->second.sealing;
    const bool closing = record->second.writers > 0 && session->is_closing();
    if (!sealing && !closing) return false;
    const Deadline until = sealing ? deadline : patience;
    if (changed_.wait_until(lock, until.when()) == std::cv_status::timeout) return false;
  }
}

Result<void> Unsealed::add(const Place& place, const Session& session) {
  const std::lock_guard lock(mutex_);
  Record record;
  record.session = session;
  record.writers = 1;
  if (!records_.emplace(place, std::move(record)).second) {
    return Error{std::errc::file_exists, "/" + session->path().text() + " is being written"};
  }
  return {};
}

Result<void> Unsealed::add_writer(const Session& session) {
  const std::lock_guard lock(mutex_);
  const auto record = locate(session);
  if (record == records_.end() || record->second.sealing) return being_sealed(session->path());
  ++record->second.writers;
  record->second.due = TimePoint::max();
  record->second.killed = false;
  return {};
}

void Unsealed::note_killed(const Session& session, bool killed) {
  const std::lock_guard lock(mutex_);
  const auto record = locate(session);
  if (record != records_.end()) record->second.killed = killed;
}

void Unsealed::close_writer(const Session& session) {
  bool drop = false;
  {
    const std::lock_guard lock(mutex_);
    const auto record = locate(session);
    if (record == records_.end()) {
      const auto nameless = nameless_.find(session.get());
      if (nameless == nameless_.end() || --nameless->second > 0) return;
      nameless_.erase(nameless);
      drop = true;
    } else {
      Record& closed = record->second;
      if (--closed.writers > 0) return;
      const bool failed = session->has_failed();
      drop = (failed || (closed.killed && !options_.seal_on_kill)) && !closed.held;
      if (drop) {
        spdlog::info("file dropped, {}: path=/{}",
                     failed ? "a write into it failed" : "its writer was killed",
                     session->path().text());
        records_.erase(record);
      } else if (!schedule(record->first, closed)) {
        changed_.notify_all();
        due_changed_.notify_all();
        return;
      }
    }
    changed_.notify_all();
  }
  if (drop) return session->drop();
  (void)seal(session);
}

Result<void> Unsealed::seal(const Session& session) {
  const auto sealed = session->seal();
  Place place;
  {
    const std::lock_guard lock(mutex_);
    place = locate(session)->first;
  }
  if (sealed) {
    sealed_.add({session, place, *sealed});
    return {};
  }
  spdlog::error("file was closed but could not be stored: path=/{} why={}",
                session->path().text(), sealed.error().what);
  const std::lock_guard lock(mutex_);
  records_.erase(place);
  changed_.notify_all();
  return sealed.error();
}

void Unsealed::noted(const std::vector<Sealed>& sealed) {
  on_sealed_(sealed);
  const std::lock_guard lock(mutex_);
  for (const Sealed& file : sealed) records_.erase(file.place);
  changed_.notify_all();
}

Result<void> Unsealed::remove(const Place& place) {
  Session session;
  {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(place);
    if (found == records_.end()) {
      return Error{std::errc::no_such_file_or_directory, place.name + " is not an unsealed file"};
    }
    session = found->second.session;
    if (found->second.sealing || found->second.held) return being_sealed(session->path());
    if (found->second.writers > 0) {
      nameless_[session.get()] = found->second.writers;
      session.reset();
    }
    records_.erase(found);
    changed_.notify_all();
  }
  if (session) session->drop();
  return {};
}

Result<void> Unsealed::rename(const Place& from, const Place& to, const ClusterPath& to_path) {
  if (from == to) return {};
  Session session;
  {
    const std::lock_guard lock(mutex_);
    const auto found = records_.find(from);
    if (found == records_.end()) {
      return Error{std::errc::no_such_file_or_directory, from.name + " is not an unsealed file"};
    }
    session = found->second.session;
    if (found->second.sealing || found->second.held) return being_sealed(session->path());
    found->second.held = true;
  }
  const ClusterPath from_path = session->path();
  auto moved = move_held(session, to, to_path);
  if (!moved) session->aim_at(from_path);
  bool seal_now = false;
  bool drop = false;
  {
    const std::lock_guard lock(mutex_);
    auto node = records_.extract(from);
    if (moved) node.key() = to;
    node.mapped().held = false;
    const auto record = records_.insert(std::move(node)).position;
    if (record->second.writers == 0) {
      drop = session->has_failed() || (record->second.killed && !options_.seal_on_kill);
      if (drop) {
        records_.erase(record);
      } else {
        seal_now = schedule(record->first, record->second);
      }
    }
    changed_.notify_all();
    due_changed_.notify_all();
  }
  if (drop) session->drop();
  if (!seal_now) return moved;
  auto sealed = seal(session);
  return moved ? sealed : moved;
}

Result<void> Unsealed::move_held(const Session& session, const Place& to,
                                 const ClusterPath& to_path) {
  session->aim_at(to_path);
  // Closed files were made safe under the old name; this promises the same for the new one.
  if (session->is_flushed()) {
    if (auto safe = session->flush(); !safe) return safe.error();
  }
  auto removed = remove(to);
  if (removed || removed.error().code == std::errc::no_such_file_or_directory) return {};
  return removed;
}

void Unsealed::run_linger(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto earliest =
        std::min_element(records_.begin(), records_.end(), [](const auto& a, const auto& b) {
          return a.second.due_unless_held() < b.second.due_unless_held();
        });
    const TimePoint due =
        earliest == records_.end() ? TimePoint::max() : earliest->second.due_unless_held();
    if (due <= std::chrono::steady_clock::now()) {
      earliest->second.due = TimePoint::max();
      earliest->second.sealing = true;
      const Session session = earliest->second.session;
      lock.unlock();
      (void)seal(session);
      lock.lock();
    } else if (due == TimePoint::max()) {
      due_changed_.wait(lock, stop, [&] {
        return std::any_of(records_.begin(), records_.end(), [](const auto& pair) {
          return pair.second.due_unless_held() != TimePoint::max();
        });
      });
    } else {
      due_changed_.wait_until(lock, stop, due, [] { return false; });
    }
  }
}

void Unsealed::wait_for_closes(Deadline deadline) {
  const Gathered<Sealed>::Hurry hurry(sealed_);
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline.when(), [&] {
    return std::none_of(records_.begin(), records_.end(), [](const auto& pair) {
      const Record& record = pair.second;
      return record.sealing || (record.writers > 0 && record.session->is_closing());
    });
  });
}

void Unsealed::end(End how) {
  linger_thread_.request_stop();
  if (linger_thread_.joinable()) linger_thread_.join();
  std::vector<Session> closed;
  std::vector<Session> open;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [place, record] : records_) {
      if (record.sealing) continue;
      record.sealing = true;
      const bool dropped = record.killed && !options_.seal_on_kill;
      // Not flushed since its last write: nobody closed it, the connection was torn down.
      const bool flushed = record.session->is_flushed();
      const bool whole = record.writers == 0 || (how == End::kAllClosed && !dropped && flushed);
      (whole ? closed : open).push_back(record.session);
    }
  }
  for (const Session& session : closed) (void)seal(session);
  for (const Session& session : open) {
    const ClusterPath path = session->path();
    const auto kept = session->keep("the mount ended while it was being written");
    if (kept) {
      spdlog::error("file was being written when the mount ended, kept in recover/: path=/{}",
                    path.text());
    } else {
      spdlog::error("file was being written when the mount ended, LOST: path=/{} why={}",
                    path.text(), kept.error().what);
    }
    const std::lock_guard lock(mutex_);
    if (const auto record = locate(session); record != records_.end()) records_.erase(record);
  }
  sealed_.finish();
}

}  // namespace skein
