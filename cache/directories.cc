// What is known of directories; how they are asked for is in directories_refreshing.cc.
#include "cache/directories.h"

#include <algorithm>

#include "cache/directories_state.h"

namespace skein {
namespace {

constexpr std::string_view kGrowingFolder = "_aggregate";  // docs/design.md, "Append"
// Directories whose trust is remembered, about 200 bytes each; beyond it the oldest facts go.
constexpr std::size_t kMostDirectories = 65536;
// Until then a node that was not seen yet may still be on its way into the membership.
constexpr std::chrono::seconds kDiscoveryTime{10};
constexpr std::size_t kMostDepth = kMaxPathBytes / 2;  // "a/a/a/..."

Error no_such(std::string_view name) {
  return {std::errc::no_such_file_or_directory, std::string(name) + ": no node lists it"};
}

}  // namespace

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
    const auto passed = [&](const Opening& opening) { return opening.through >= name; };
    const auto awaited = await(inode, directory, [&](const Opening& opening) {
      return passed(opening) || opening.takes_long;
    });
    known = tree_.lookup(inode, name);
    if (!awaited) failure = awaited.error();
    if (awaited && !known && !awaited->over && awaited->through < name) return ask_for(inode, name);
  }
  if (known) return *known;
  if (failure) return *failure;
  return no_such(name);
}

// A listing of a large directory takes its time, one name does not.
Result<TreeEntry> Directories::ask_for(Inode inode, std::string_view name) {
  auto path = path_of(inode);
  if (path) path = path->child(name);
  if (!path) return path.error();
  Error failure = no_such(name);
  std::optional<Entry> found;
  bool answered = false;
  for (const auto& info : client_.stat_all(*membership_.nodes(), *path)) {
    if (!info) failure = {std::errc::host_unreachable, info.error().what};
    answered = answered || info.ok();
    if (!info || !*info || (found && found->is_directory())) continue;
    const auto size_bytes = static_cast<std::int64_t>((*info)->size_bytes);
    found = (*info)->is_directory ? Entry{Entry::kDirectory, 0}
                                  : Entry{0, (*info)->grows() ? -1 : size_bytes};
  }
  if (found) return note_created(inode, name, *found);
  return answered ? no_such(name) : failure;
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
