#include "cache/directories.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>

#include "cache/refresh.h"

namespace skein {
namespace {

constexpr std::string_view kGrowingFolder = "_aggregate";  // docs/design.md, "Append"
// Directories whose trust is remembered, about 200 bytes each; beyond it the oldest facts go.
constexpr std::size_t kMostDirectories = 65536;
// Until then a node that was not seen yet may still be on its way into the membership.
constexpr std::chrono::seconds kDiscoveryTime{10};
// A refresh takes the client's timeout and at most two waits for the tree.
constexpr std::chrono::milliseconds kTreeTime{4000};
constexpr std::size_t kMostDepth = kMaxPathBytes / 2;  // "a/a/a/..."

}  // namespace

struct Directories::Directory {
  // Of the last refresh that came through.
  std::optional<TimePoint> trusted_until;
  std::uint64_t epoch = 0;    // State::epoch when the nodes were asked
  std::uint64_t version = 0;  // ShareHeads::version of what was stored
  std::vector<Node> missing;

  bool in_full = false;         // distrusted: sealed files too
  std::uint64_t distrusts = 0;  // counts them, so that one during a refresh is not lost

  bool refreshing = false;
  std::uint64_t rounds = 0;  // refreshes done
  std::optional<Error> failure;  // of the last round

  std::optional<bool> may_grow;
};

struct Directories::State {
  explicit State(TimePoint now) : begun(now) {}
  const TimePoint begun;

  std::mutex mutex;  // guards everything below, the Directory objects included
  std::condition_variable round_done;
  std::unordered_map<Inode, std::shared_ptr<Directory>> directories;
  NodeSnapshot members;
  std::set<std::string> seen_alive;  // node keys
  std::uint64_t epoch = 1;           // grows when all listings are to be asked for again
};

Directories::Directories(Tree& tree, NodeClient& client, Membership& membership, Options options)
    : tree_(tree),
      client_(client),
      membership_(membership),
      options_(std::move(options)),
      state_(std::make_unique<State>(options_.now())) {}

Directories::~Directories() = default;

// Polled, because the membership tells one listener only, and that may be somebody else.
void Directories::notice_membership() {
  NodeSnapshot now = membership_.nodes();
  const std::lock_guard lock(state_->mutex);
  if (now == state_->members) return;
  if (state_->members) ++state_->epoch;
  for (const Node& node : *now) state_->seen_alive.insert(node.key());
  state_->members = std::move(now);
}

std::shared_ptr<Directories::Directory> Directories::known_directory(Inode inode) {
  const std::lock_guard lock(state_->mutex);
  auto& directories = state_->directories;
  if (directories.size() >= kMostDirectories && !directories.contains(inode)) {
    const TimePoint now = options_.now();
    std::erase_if(directories, [&](const auto& known) {
      const Directory& d = *known.second;
      return !d.refreshing && !d.in_full && (!d.trusted_until || *d.trusted_until <= now);
    });
    // All of them trusted: 65536 directories within the trust time. Any may be asked once more.
    if (directories.size() >= kMostDirectories) directories.erase(directories.begin());
  }
  auto& directory = directories[inode];
  if (!directory) directory = std::make_shared<Directory>();
  return directory;
}

struct Directories::Trust {
  bool fresh = false;
  bool in_full = false;
  std::uint64_t rounds = 0;
  std::vector<Node> missing;
};

Directories::Trust Directories::trust_in(Inode inode, const Directory& directory) {
  Trust trust;
  std::uint64_t version = 0;
  {
    const std::lock_guard lock(state_->mutex);
    trust.fresh = directory.trusted_until && options_.now() < *directory.trusted_until &&
                  directory.epoch == state_->epoch && !directory.in_full;
    trust.in_full = directory.in_full;
    trust.rounds = directory.rounds;
    trust.missing = directory.missing;
    version = directory.version;
  }
  if (!trust.fresh) return trust;
  // The tree may have been begun anew since: what it lacks then is no absence.
  const auto heads = tree_.share_heads(inode);
  trust.fresh = heads && heads->version == version;
  return trust;
}

bool Directories::may_grow(Inode inode, Directory& directory) {
  {
    const std::lock_guard lock(state_->mutex);
    if (directory.may_grow) return *directory.may_grow;
  }
  const auto path = path_of(inode);
  if (!path) return true;
  const bool grows = !path->is_root() && path->components().front() == kGrowingFolder;
  const std::lock_guard lock(state_->mutex);
  directory.may_grow = grows;  // an inode never moves
  return grows;
}

Result<TreeEntry> Directories::lookup(Inode inode, std::string_view name) {
  notice_membership();
  const auto directory = known_directory(inode);
  auto known = tree_.lookup(inode, name);
  const Trust trust = trust_in(inode, *directory);
  const bool sealed = known && !known->entry.is_directory() && known->entry.size >= 0 &&
                      !trust.in_full && !may_grow(inode, *directory);
  if (sealed) return *known;
  std::optional<Error> failure;
  if (!trust.fresh) {
    if (auto refreshed = refresh(inode, *directory); !refreshed) failure = refreshed.error();
    known = tree_.lookup(inode, name);
  }
  if (known) return *known;
  if (failure) return *failure;
  return Error{std::errc::no_such_file_or_directory, std::string(name) + ": no node lists it"};
}

Result<std::vector<Node>> Directories::refresh(Inode inode) {
  notice_membership();
  return refresh(inode, *known_directory(inode));
}

Result<std::vector<Node>> Directories::refresh(Inode inode, Directory& directory) {
  const Deadline deadline = Deadline::after(client_.timeout() + kTreeTime);
  for (;;) {
    Trust trust = trust_in(inode, directory);
    if (trust.fresh) return std::move(trust.missing);
    std::unique_lock lock(state_->mutex);
    if (directory.rounds != trust.rounds) continue;  // one ended just now
    if (!directory.refreshing) {
      directory.refreshing = true;
      lock.unlock();
      return ask(inode, directory);
    }
    const auto done = [&] { return directory.rounds != trust.rounds; };
    if (!state_->round_done.wait_until(lock, deadline.when(), done)) {
      return Error{std::errc::timed_out, "list inode " + std::to_string(inode) +
                                             ": waited for another's question in vain"};
    }
    if (directory.failure) return *directory.failure;
    // Asked before somebody distrusted it: that answer is not good enough.
    if (!directory.in_full) return directory.missing;
  }
}

// Precondition: directory.refreshing was set by this thread.
Result<std::vector<Node>> Directories::ask(Inode inode, Directory& directory) {
  const TimePoint begun = options_.now();
  const auto trust = may_grow(inode, directory)
                         ? std::min(options_.listing_trust, kGrowingTrust)
                         : options_.listing_trust;
  std::unique_lock lock(state_->mutex);
  const bool in_full = directory.in_full;
  const std::uint64_t distrusts = directory.distrusts;
  const std::uint64_t epoch = state_->epoch;
  lock.unlock();

  const Refresh refresh{tree_, client_, membership_,
                        [this](const std::string& node_key) { return has_left(node_key); }};
  const auto path = directory_path(inode);
  Result<Refresh::Outcome> outcome =
      path ? refresh.run(inode, *path, in_full) : Result<Refresh::Outcome>(path.error());

  lock.lock();
  directory.refreshing = false;
  ++directory.rounds;
  directory.failure.reset();
  if (!outcome) {
    directory.failure = outcome.error();
  } else {
    directory.missing = outcome->missing;
    directory.version = outcome->version;
    directory.epoch = epoch;
    directory.trusted_until = (outcome->complete ? begun : options_.now()) + trust;
    if (distrusts == directory.distrusts) directory.in_full = false;
  }
  lock.unlock();
  state_->round_done.notify_all();
  if (!outcome) return outcome.error();
  return std::move(outcome->missing);
}

bool Directories::has_left(const std::string& node_key) {
  if (options_.now() - state_->begun >= kDiscoveryTime) return true;
  const std::lock_guard lock(state_->mutex);
  return state_->seen_alive.contains(node_key);
}

Result<ClusterPath> Directories::path_of(Inode inode) {
  std::vector<std::string> names;
  for (Inode at = inode; at != kRootInode;) {
    auto place = tree_.place(at);
    if (!place || names.size() > kMostDepth) {
      return Error{std::errc::no_such_file_or_directory,
                   "inode " + std::to_string(inode) + " is no longer known"};
    }
    names.push_back(std::move(place->name));
    at = place->parent;
  }
  ClusterPath path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    auto child = path.child(*name);
    if (!child) return child.error();
    path = std::move(*child);
  }
  return path;
}

Result<ClusterPath> Directories::directory_path(Inode inode) {
  auto path = path_of(inode);
  if (!path || path->is_root()) return path;
  const auto place = tree_.place(inode);
  const auto found = place ? tree_.lookup(place->parent, place->name) : std::nullopt;
  if (found && !found->entry.is_directory()) {
    return Error{std::errc::not_a_directory, "/" + path->text() + " is a file"};
  }
  return path;
}

Result<TreeEntry> Directories::note_created(Inode directory, std::string_view name,
                                            const Entry& entry) {
  return tree_.put(directory, name, entry);
}

Result<std::vector<std::optional<TreeEntry>>> Directories::note_all_created(
    std::span<const Tree::NewName> names) {
  return tree_.put_all(names);
}

void Directories::distrust(Inode inode) {
  const auto directory = known_directory(inode);
  const std::lock_guard lock(state_->mutex);
  directory->in_full = true;
  ++directory->distrusts;
}

void Directories::distrust_all() {
  const std::lock_guard lock(state_->mutex);
  ++state_->epoch;
}

}  // namespace skein
