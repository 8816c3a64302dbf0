#include "fuse/directory_stream.h"

namespace skein {

DirectoryStream::DirectoryStream(MountedTree& tree, Inode directory, MountedTree::Opening opening,
                                 std::vector<std::pair<std::string, Unsealed::Session>> unsealed)
    : tree_(tree), directory_(directory), opening_(std::move(opening)) {
  if (const auto path = tree_.path_of(directory)) may_grow_ = may_grow(*path);
  for (const auto& [name, session] : unsealed) unsealed_names_.insert(name);
  unsealed_ = std::move(unsealed);
  rewind();
}

void DirectoryStream::rewind() {
  pages_.assign(1, Page{});
  loaded_ = false;
}

Result<void> DirectoryStream::load_page(std::size_t page) {
  auto read = tree_.names(directory_, opening_, pages_[page].after, kPageNames);
  if (!read) return read.error();
  const std::string last_name = read->names.empty() ? std::string() : read->names.back().name;
  items_.clear();
  const bool read_before = page + 1 < pages_.size();
  for (NamedTreeEntry& found : read->names) {
    // A page may have been shorter when it was read as the names came.
    if (read_before && found.name > pages_[page + 1].after) break;
    if (unsealed_names_.contains(found.name)) continue;
    if (directory_ == kRootInode && found.name == kPrivateFolder) continue;
    Shown shown = tree_.show(found.entry, nullptr);
    if (may_grow_ && shown.kind == Shown::Kind::kSealed) shown.kind = Shown::Kind::kGrowing;
    items_.push_back({std::move(found.name), shown});
  }
  last_page_ = !read->more && !read_before;
  current_ = page;
  loaded_ = true;
  if (!last_page_ && page + 1 == pages_.size()) {
    pages_.push_back({last_name, pages_[page].first + items_.size()});
  }
  return {};
}

std::uint64_t DirectoryStream::read_version() const {
  return opening_ && loaded_ && last_page_ ? tree_.listing_version(opening_) : 0;
}

Result<bool> DirectoryStream::load(std::uint64_t position) {
  std::size_t page = pages_.size() - 1;
  while (pages_[page].first > position) --page;
  for (;; ++page) {
    if (!loaded_ || current_ != page) {
      if (auto read = load_page(page); !read) return read.error();
    }
    if (position < pages_[page].first + items_.size()) return true;
    if (last_page_) return false;
  }
}

Result<const DirectoryStream::Item*> DirectoryStream::at(std::uint64_t position) {
  auto found = load(position);
  if (!found) return found.error();
  if (*found) return &items_[position - pages_[current_].first];
  const std::uint64_t beyond = position - (pages_[current_].first + items_.size());
  if (beyond >= unsealed_.size()) return nullptr;
  // As it is now: the kernel takes this size for the place where O_APPEND writes.
  const auto& [name, session] = unsealed_[beyond];
  given_ = {name, tree_.show(*session)};
  return &given_;
}

}  // namespace skein
