#include "fuse/mounted_tree.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "aggregate/append_target.h"

namespace skein {
namespace {

constexpr mode_t kDirectoryMode = S_IFDIR | 0777;
constexpr mode_t kSealedMode = S_IFREG | 0444;
constexpr mode_t kUnsealedMode = S_IFREG | 0666;
// What cat and cp take as their buffer; larger ones gain nothing.
constexpr blksize_t kBlockBytes = 128 * 1024;
// Files that this mount appended to; with more of them, sizes are those of the listings.
constexpr std::size_t kMostGrown = 10'000;
// Directories that this mount made and can take away again; older ones stay.
constexpr std::size_t kMostMade = 10'000;

Error stale() {
  return {static_cast<std::errc>(ESTALE), "the directory is no longer there"};
}

bool absent(const Error& error) { return error.code == std::errc::no_such_file_or_directory; }

Error not_empty(const ClusterPath& path) {
  return {std::errc::directory_not_empty, "/" + path.text() + " is not empty"};
}

Error no_such(std::string_view name) {
  return {std::errc::no_such_file_or_directory, std::string(name) + ": no such file"};
}

}  // namespace

bool may_grow(const ClusterPath& path) {
  return !path.is_root() && path.components().front() == kGrowingFolder;
}

Shown MountedTree::show(const TreeEntry& entry, const ClusterPath* path) const {
  Shown shown;
  struct stat& st = shown.attributes;
  const bool directory = entry.entry.is_directory();
  const bool growing = entry.entry.size < 0 || (path != nullptr && may_grow(*path));
  shown.kind = directory ? Shown::Kind::kDirectory
               : growing ? Shown::Kind::kGrowing
                         : Shown::Kind::kSealed;
  shown.unsized = growing && !directory && entry.entry.size < 0;
  st.st_ino = parts_.inodes.kernel_number(entry.inode);
  st.st_mode = (directory ? kDirectoryMode : kSealedMode) & ~options_.umask;
  st.st_nlink = 1;  // find(1): subdirectories are not counted
  st.st_uid = options_.uid;
  st.st_gid = options_.gid;
  st.st_size = std::max<std::int64_t>(entry.entry.size, 0);
  if (growing && !directory) st.st_size = std::max(st.st_size, grown_size(entry.inode));
  st.st_blocks = directory ? 0 : (st.st_size + 511) / 512;
  st.st_blksize = kBlockBytes;
  st.st_mtime = st.st_ctime = st.st_atime = entry.seen_s;
  return shown;
}

Result<Shown> MountedTree::show_sized(const TreeEntry& entry, const Result<ClusterPath>& path) {
  Shown shown = show(entry, path ? &*path : nullptr);
  if (!shown.unsized || !path) return shown;
  const auto located = finder_.find(*path);
  // While the owner is silent, the file is shown as it was last known.
  if (!located) return shown.attributes.st_size > 0 ? Result<Shown>(shown) : located.error();
  grew(shown.inode(), located->copies.front().info.size_bytes);
  shown = show(entry, &*path);
  shown.unsized = false;
  return shown;
}

bool MountedTree::grows(Inode inode, const ClusterPath& path) const {
  if (may_grow(path)) return true;
  const auto tree = parts_.inodes.tree_number(inode);
  const auto place = tree ? parts_.directories.tree().place(*tree) : std::nullopt;
  if (!place) return false;
  const auto found = parts_.directories.tree().lookup(place->parent, place->name);
  return found && !found->entry.is_directory() && found->entry.size < 0;
}

Shown MountedTree::show(const WriteSession& session) const {
  Shown shown;
  shown.kind = Shown::Kind::kUnsealed;
  if (const auto status = session.status()) {
    const struct stat& from = *status;
    shown.attributes.st_size = from.st_size;
    shown.attributes.st_blocks = from.st_blocks;
    shown.attributes.st_mtim = from.st_mtim;
    shown.attributes.st_ctim = from.st_mtim;
    shown.attributes.st_atim = from.st_mtim;
  }
  shown.attributes.st_ino = session.inode();
  shown.attributes.st_mode = kUnsealedMode & ~options_.umask;
  shown.attributes.st_nlink = 1;
  shown.attributes.st_uid = options_.uid;
  shown.attributes.st_gid = options_.gid;
  shown.attributes.st_blksize = kBlockBytes;
  return shown;
}

Result<Inode> MountedTree::find_again(Inode inode) {
  const auto place = parts_.inodes.directory(inode);
  if (!place) return stale();
  auto parent = tree_directory(place->parent);
  if (!parent) return parent.error();
  const auto found = parts_.directories.lookup(*parent, place->name);
  if (!found) return absent(found.error()) ? stale() : found.error();
  if (!found->entry.is_directory()) return stale();
  parts_.inodes.bind(inode, found->inode);
  return found->inode;
}

Result<Inode> MountedTree::tree_directory(Inode inode) {
  const auto tree = parts_.inodes.tree_number(inode);
  if (!tree) return Error{std::errc::not_a_directory, "an unsealed file is no directory"};
  if (*tree == kRootInode || parts_.directories.tree().place(*tree)) return *tree;
  return find_again(inode);
}

Result<Shown> MountedTree::lookup(Inode parent, std::string_view name) {
  if (name.size() > kMaxNameBytes) {
    return Error{std::errc::filename_too_long, "name of more than 255 bytes"};
  }
  if (const auto session = parts_.unsealed.find({parent, std::string(name)})) {
    return show(*session);
  }
  if (parent == kRootInode && name == kPrivateFolder) return no_such(name);
  auto directory = tree_directory(parent);
  if (!directory) return directory.error();
  const auto found = parts_.directories.lookup(*directory, name);
  if (!found) return found.error();
  if (found->entry.is_directory()) return show(*found, nullptr);
  return show_sized(*found, parts_.directories.path_of(found->inode));
}

Result<Shown> MountedTree::stat(Inode inode) {
  if (const auto session = parts_.unsealed.find(inode)) return show(*session);
  auto tree = parts_.inodes.tree_number(inode);
  if (!tree) return no_such("an unsealed file that is gone");
  if (*tree == kRootInode) {
    TreeEntry root;
    root.inode = kRootInode;
    root.entry = {Entry::kDirectory, 0};
    root.seen_s = options_.mounted_s;
    return show(root, nullptr);
  }
  auto place = parts_.directories.tree().place(*tree);
  if (!place) {
    auto again = find_again(inode);
    if (!again) return again.error();
    tree = *again;
    place = parts_.directories.tree().place(*tree);
    if (!place) return stale();
  }
  auto found = parts_.directories.tree().lookup(place->parent, place->name);
  if (!found || found->inode != *tree) return stale();
  if (found->entry.is_directory()) return show(*found, nullptr);
  const auto path = parts_.directories.path_of(*tree);
  if (found->entry.size < 0 || (path && may_grow(*path))) {
    // The listing tells the size as it is now, or that the file is sealed.
    const auto fresh = parts_.directories.lookup(place->parent, place->name);
    if (fresh) found = *fresh;
  }
  return show_sized(*found, path);
}

void MountedTree::counted(const Shown& shown, Inode parent, std::string_view name) {
  if (shown.kind == Shown::Kind::kDirectory) {
    parts_.inodes.counted_directory(shown.inode(), parent, name);
  } else {
    parts_.inodes.counted(shown.inode());
  }
}

Result<Shown> MountedTree::make_directory(Inode parent, std::string_view name) {
  // One node more may cost another timeout of the client, which has to end within the deadline too.
  const Deadline give_up = Deadline::after(options_.deadline - parts_.client.timeout());
  auto path = path_of(parent, name);
  if (!path) return path.error();
  const auto existing = lookup(parent, name);
  if (existing) return Error{std::errc::file_exists, "/" + path->text() + " exists"};
  if (!absent(existing.error())) return existing.error();
  std::set<std::string> excluded;
  std::optional<Error> last;
  for (;;) {
    auto node = parts_.placement.choose(*parts_.membership.nodes(), excluded);
    if (!node || (last && give_up.passed())) return last ? *last : node.error();
    auto made = parts_.client.make_directory(*node, *path);
    if (made) break;
    if (made.error().code == std::errc::file_exists) return made.error();
    if (made.error().code != std::errc::no_space_on_device) {
      parts_.membership.report_failure(node->key(), made.error());
    }
    last = made.error();
    excluded.insert(node->key());
  }
  auto directory = tree_directory(parent);
  if (!directory) return directory.error();
  auto noted = parts_.directories.note_created(*directory, name, {Entry::kDirectory, 0});
  if (!noted) return noted.error();
  const std::lock_guard lock(mutex_);
  if (made_.size() >= kMostMade) made_.erase(made_.begin());
  made_.insert(noted->inode);
  return show(*noted, nullptr);
}

Result<void> MountedTree::remove_directory(Inode parent, std::string_view name) {
  const auto shown = lookup(parent, name);
  if (!shown) return shown.error();
  if (shown->kind != Shown::Kind::kDirectory) {
    return Error{std::errc::not_a_directory, std::string(name) + " is a file"};
  }
  const auto tree = tree_directory(shown->inode());
  if (!tree) return tree.error();
  const auto path = path_of(parent, name);
  if (!path) return path.error();
  if (!parts_.unsealed.in_directory(shown->inode()).empty()) return not_empty(*path);
  const auto nodes = nodes_to_empty(*tree, *path);
  if (!nodes) return nodes.error();
  for (const Node& node : *nodes) {
    auto removed = parts_.lanes->remove_directory(node, *path);
    if (!removed && !absent(removed.error())) {
      parts_.directories.distrust(*tree);
      return removed;
    }
  }
  const auto place = parts_.directories.tree().place(*tree);
  if (place) (void)parts_.directories.tree().remove(place->parent, place->name);
  const std::lock_guard lock(mutex_);
  made_.erase(*tree);
  return {};
}

Result<NodeList> MountedTree::nodes_to_empty(Inode tree, const ClusterPath& path) {
  const Error refused{std::errc::operation_not_permitted,
                      "/" + path.text() + ": only an empty directory that this mount made can be "
                      "removed, and only on nodes of this host"};
  {
    const std::lock_guard lock(mutex_);
    if (!made_.contains(tree)) return refused;
  }
  parts_.directories.distrust(tree);  // as it is now
  const auto missing = parts_.directories.refresh(tree);
  if (!missing) return missing.error();
  if (!missing->empty()) {
    return Error{std::errc::host_unreachable,
                 missing->front().label() + " is silent, and may have files in /" + path.text()};
  }
  const auto names = parts_.directories.tree().names(tree, "", 1);
  if (!names) return names.error();
  if (!names->empty()) return not_empty(path);
  const auto heads = parts_.directories.tree().share_heads(tree);
  if (!heads) return heads.error();
  NodeList having;
  const NodeSnapshot nodes = parts_.membership.nodes();
  for (const Node& node : *nodes) {
    if (!heads->etags.contains(node.key())) continue;
    if (parts_.lanes == nullptr || !parts_.lanes->reaches(node)) return refused;
    having.push_back(node);
  }
  return having;
}

void MountedTree::sealed(const std::vector<Unsealed::Sealed>& files) {
  std::vector<Tree::NewName> names;
  std::vector<Inode> inodes;
  for (const Unsealed::Sealed& file : files) {
    const auto directory = tree_directory(file.place.directory);
    if (!directory) continue;  // its parent vanished: the next listing tells
    names.push_back({*directory, file.place.name,
                     {0, static_cast<std::int64_t>(file.size_bytes)}});
    inodes.push_back(file.session->inode());
  }
  const auto noted = parts_.directories.note_all_created(names);
  if (!noted) return;  // as above
  for (std::size_t i = 0; i < inodes.size(); ++i) {
    if (const auto& entry = (*noted)[i]) parts_.inodes.bind(inodes[i], entry->inode);
  }
}

Result<Shown> MountedTree::growing(Inode parent, std::string_view name, const ClusterPath& path) {
  const auto directory = tree_directory(parent);
  if (!directory) return directory.error();
  const auto noted = parts_.directories.note_created(*directory, name, {0, 0});
  if (!noted) return noted.error();
  return show(*noted, &path);
}

void MountedTree::grew(Inode inode, std::uint64_t size_bytes) {
  const auto tree = parts_.inodes.tree_number(inode);
  if (!tree) return;
  const std::lock_guard lock(mutex_);
  if (grown_.size() >= kMostGrown) grown_.clear();
  off_t& known = grown_[*tree];
  known = std::max(known, static_cast<off_t>(size_bytes));
}

off_t MountedTree::grown_size(Inode inode) const {
  const std::lock_guard lock(mutex_);
  const auto known = grown_.find(inode);
  return known == grown_.end() ? 0 : known->second;
}

Result<ClusterPath> MountedTree::path_of(Inode parent, std::string_view name) {
  auto directory = tree_directory(parent);
  if (!directory) return directory.error();
  auto path = parts_.directories.path_of(*directory);
  if (!path) return path.error();
  auto child = path->child(name);
  if (child && child->is_private()) {
    return Error{std::errc::operation_not_permitted, "/.skein is private to the nodes"};
  }
  return child;
}

Result<ClusterPath> MountedTree::path_of(Inode inode) {
  if (const auto session = parts_.unsealed.find(inode)) return session->path();
  const auto tree = parts_.inodes.tree_number(inode);
  if (!tree) return stale();
  auto path = parts_.directories.path_of(*tree);
  if (!path && absent(path.error())) return stale();
  return path;
}

Result<std::vector<Node>> MountedTree::refresh(Inode directory) {
  auto tree = tree_directory(directory);
  if (!tree) return tree.error();
  return parts_.directories.refresh(*tree);
}

std::uint64_t MountedTree::listing_version(Inode directory) {
  const auto tree = tree_directory(directory);
  const auto heads = tree ? parts_.directories.tree().share_heads(*tree) : tree.error();
  return heads ? heads->version : 0;
}

Result<MountedTree::Opening> MountedTree::open(Inode directory) {
  auto tree = tree_directory(directory);
  if (!tree) return tree.error();
  return parts_.directories.open(*tree);
}

std::uint64_t MountedTree::listing_version(const Opening& opening) {
  return parts_.directories.version_of(*opening);
}

Result<Directories::Names> MountedTree::names(Inode directory, const Opening& opening,
                                              std::string_view after, std::size_t most) {
  auto tree = tree_directory(directory);
  if (!tree) return tree.error();
  return parts_.directories.names(*tree, opening, after, most);
}

void MountedTree::distrust_parent_of(Inode inode) {
  const auto tree = parts_.inodes.tree_number(inode);
  if (!tree) return;
  const auto place = parts_.directories.tree().place(*tree);
  if (place) parts_.directories.distrust(place->parent);
}

}  // namespace skein
