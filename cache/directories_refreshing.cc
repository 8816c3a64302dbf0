// How directories are asked for, and waited for.
#include <algorithm>

#include "cache/directories_state.h"
#include "cache/refresh.h"

namespace skein {
namespace {

// A refresh takes the client's timeout and at most two waits for the tree.
constexpr std::chrono::milliseconds kTreeTime{4000};
// How soon a refresh that goes on alone notices that it is to stop.
constexpr std::chrono::milliseconds kStopTime{200};

}  // namespace

// Waits until the directory is trusted, or its refresh is `enough`.
Result<Directories::Awaited> Directories::await(Inode inode,
                                                const std::shared_ptr<Directory>& directory,
                                                const Enough& enough) {
  const Deadline deadline = Deadline::after(client_.timeout() + kTreeTime);
  for (;;) {
    Trust trust = trust_in(inode, *directory);
    if (trust.fresh) return Awaited{true, std::move(trust.missing), {}, {}};
    std::unique_lock lock(state_->mutex);
    if (directory->rounds != trust.rounds) continue;  // one ended just now
    const bool mine = !directory->refreshing;
    if (mine) directory->refreshing = std::make_shared<Opening>();
    const std::shared_ptr<Opening> opening = directory->refreshing;
    if (mine) {
      lock.unlock();
      ask(std::make_unique<Task>(*this, inode, directory));
      lock.lock();
    }
    const auto done = [&] { return opening->over || enough(*opening); };
    if (!state_->progress.wait_until(lock, deadline.when(), done)) {
      return Error{std::errc::timed_out, "list inode " + std::to_string(inode) +
                                             ": the nodes are still at it"};
    }
    if (!opening->over) return Awaited{false, {}, opening->through, opening};
    if (opening->failure) return *opening->failure;
    // Asked before somebody distrusted it: that answer is not good enough.
    if (mine || !directory->in_full) return Awaited{true, opening->missing, {}, {}};
  }
}

Result<std::vector<Node>> Directories::refresh(Inode inode) {
  notice_membership();
  return refresh(inode, known_directory(inode));
}

Result<std::vector<Node>> Directories::refresh(Inode inode,
                                               const std::shared_ptr<Directory>& directory) {
  auto awaited = await(inode, directory, [](const Opening&) { return false; });
  if (!awaited) return awaited.error();
  return std::move(awaited->missing);
}

Result<std::shared_ptr<const Directories::Opening>> Directories::open(Inode inode) {
  notice_membership();
  auto awaited = await(inode, known_directory(inode),
                       [](const Opening& opening) { return !opening.through.empty(); });
  if (!awaited) return awaited.error();
  return std::move(awaited->opening);
}

Result<Directories::Names> Directories::names(Inode inode,
                                              const std::shared_ptr<const Opening>& opening,
                                              std::string_view after, std::size_t most) {
  const Deadline deadline = Deadline::after(client_.timeout() + kTreeTime);
  std::string from(after);
  for (;;) {
    std::optional<std::string> through;  // none: to the end
    if (opening) {
      std::unique_lock lock(state_->mutex);
      const auto ready = [&] { return opening->over || opening->through > from; };
      if (!state_->progress.wait_until(lock, deadline.when(), ready)) {
        return Error{std::errc::timed_out, "list inode " + std::to_string(inode) +
                                               ": no more names came in time"};
      }
      if (opening->over && opening->failure) return *opening->failure;
      if (!opening->over) through = opening->through;
    }
    auto names = tree_.names(inode, from, most);
    if (!names) return names.error();
    const bool more = through || names->size() == most;
    // Behind it only the caller's own new names are stored as yet.
    if (through) {
      std::erase_if(*names, [&](const NamedTreeEntry& name) { return name.name > *through; });
    }
    if (!through || !names->empty()) return Names{std::move(*names), more};
    from = std::move(*through);
  }
}

std::uint64_t Directories::version_of(const Opening& opening) const {
  const std::lock_guard lock(state_->mutex);
  return opening.version;
}

// A refresh on its way. Precondition: Directory::refreshing was set by the thread that makes it.
class Directories::Task {
 public:
  Task(Directories& all, Inode inode, std::shared_ptr<Directory> directory)
      : all_(all),
        directory_(std::move(directory)),
        begun_(all.options_.now()),
        trust_(all.may_grow(inode, *directory_)
                   ? std::min(all.options_.listing_trust, kGrowingTrust)
                   : all.options_.listing_trust),
        path_(all.directory_path(inode)) {
    {
      const std::lock_guard lock(all_.state_->mutex);
      opening_ = directory_->refreshing;
      in_full_ = directory_->in_full;
      distrusts_ = directory_->distrusts;
      epoch_ = all_.state_->epoch;
    }
    if (!path_) return;
    const auto has_left = [&all](const std::string& node_key) { return all.has_left(node_key); };
    refresh_.emplace(Refresh::Parts{all.tree_, all.client_, all.membership_, has_left,
                                    all.options_.now},
                     inode, *path_, in_full_);
  }

  // True: it is over, and all who wait know.
  bool advance(Deadline deadline);
  bool takes_long() const { return refresh_->takes_long(); }
  void finish(Result<Refresh::Outcome> outcome);

 private:
  Directories& all_;
  const std::shared_ptr<Directory> directory_;
  const TimePoint begun_;
  const std::chrono::milliseconds trust_;
  const Result<ClusterPath> path_;
  std::shared_ptr<Opening> opening_;
  bool in_full_ = false;
  std::uint64_t distrusts_ = 0;
  std::uint64_t epoch_ = 0;
  std::optional<Refresh> refresh_;
};

bool Directories::Task::advance(Deadline deadline) {
  if (!path_) return finish(path_.error()), true;
  if (refresh_->advance(deadline)) return finish(refresh_->take_outcome()), true;
  const std::lock_guard lock(all_.state_->mutex);
  opening_->takes_long = refresh_->takes_long();
  if (opening_->through != refresh_->stored_through()) opening_->through = refresh_->stored_through();
  all_.state_->progress.notify_all();
  return false;
}

void Directories::Task::finish(Result<Refresh::Outcome> outcome) {
  const std::lock_guard lock(all_.state_->mutex);
  Directory& directory = *directory_;
  directory.refreshing.reset();
  ++directory.rounds;
  opening_->over = true;
  if (!outcome) {
    opening_->failure = outcome.error();
  } else {
    directory.missing = outcome->missing;
    directory.version = outcome->version;
    directory.epoch = epoch_;
    directory.trusted_until = (outcome->complete ? begun_ : all_.options_.now()) + trust_;
    if (distrusts_ == directory.distrusts) directory.in_full = false;
    opening_->missing = std::move(outcome->missing);
    if (opening_->missing.empty()) opening_->version = outcome->version;
  }
  all_.state_->progress.notify_all();
}

// Returns when it is over, or takes long and goes on without this thread.
void Directories::ask(std::unique_ptr<Task> task) {
  const auto step = [this] { return Deadline::after(client_.timeout()); };
  while (!task->advance(step())) {
    if (!task->takes_long()) continue;
    const std::shared_ptr<Task> shared = std::move(task);
    const bool handed_over = long_refreshes_.start([shared](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        if (shared->advance(Deadline::after(kStopTime))) return;
      }
      shared->finish(Error{std::errc::operation_canceled, "the mount ends"});
    });
    while (!handed_over && !shared->advance(step())) {
    }
    return;
  }
}

}  // namespace skein
