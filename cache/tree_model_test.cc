// The tree against a model in memory, driven by random operations, closing and opening included.
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

#include "cache/tree.h"
#include "core/scratch_folder.h"

namespace skein {
namespace {

struct ModelName {
  TreeEntry entry;
  bool unconfirmed = false;
};

// What tree.h promises, in the plainest words.
class Model {
 public:
  std::map<Inode, std::map<std::string, ModelName>> directories{{kRootInode, {}}};
  std::map<Inode, std::map<std::string, StoredShare>> shares;

  void forget(const ModelName& name) {
    if (!name.entry.entry.is_directory()) return;
    for (const auto& [_, below] : directories[name.entry.inode]) forget(below);
    directories.erase(name.entry.inode);
    shares.erase(name.entry.inode);
  }
  void set(Inode directory, const std::string& name, const ModelName& now) {
    auto& names = directories[directory];
    const auto known = names.find(name);
    if (known != names.end() && known->second.entry.inode != now.entry.inode) {
      forget(known->second);
    }
    names[name] = now;
    if (now.entry.entry.is_directory()) directories[now.entry.inode];
  }
  void remove(Inode directory, const std::string& name) {
    auto& names = directories[directory];
    const auto known = names.find(name);
    if (known == names.end()) return;
    const ModelName gone = known->second;
    names.erase(known);
    forget(gone);
  }
};

class Run {
 public:
  explicit Run(unsigned seed) : random_(seed) { reopen(); }

  void step() {
    const Inode directory = any_directory();
    switch (random_() % 13) {
      case 0:
        if (random_() % 4 == 0) reopen();
        return;
      case 1:
        now_s_ += static_cast<std::int64_t>(random_() % 4);
        return;
      case 2: {
        const std::string name = any_name();
        REQUIRE(tree_->remove(directory, name));
        return model_.remove(directory, name);
      }
      case 3: case 4: case 5:
        return store_listing(directory);
      case 6:
        return add_listed(directory);
      default:
        return put(directory);
    }
  }

  void compare() {
    std::set<Inode> inodes;
    for (const auto& [directory, names] : model_.directories) {
      CAPTURE(directory);
      const auto stored = tree_->names(directory, "", 1000);
      REQUIRE(stored);
      REQUIRE(stored->size() == names.size());
      std::size_t i = 0;
      for (const auto& [name, known] : names) {
        CAPTURE(name);
        REQUIRE((*stored)[i].name == name);
        REQUIRE((*stored)[i++].entry == known.entry);
        REQUIRE(tree_->lookup(directory, name) == known.entry);
        const auto place = tree_->place(known.entry.inode);
        REQUIRE(place);
        REQUIRE(place->parent == directory);
        REQUIRE(place->name == name);
        REQUIRE(inodes.insert(known.entry.inode).second);
      }
      std::vector<StoredShare> shares;
      for (const auto& [_, share] : model_.shares[directory]) shares.push_back(share);
      REQUIRE(*tree_->shares(directory) == shares);
    }
    for (const Inode inode : given_) {
      if (!inodes.contains(inode)) REQUIRE_FALSE(tree_->place(inode));
    }
  }

 private:
  void reopen() {
    tree_.reset();
    Tree::Options options;
    options.folder = scratch_.path();
    options.cluster = "model";
    options.now_s = [this] { return now_s_; };
    auto opened = Tree::open(options);
    REQUIRE(opened);
    tree_ = std::move(*opened);
  }

  Inode any_directory() {
    auto at = model_.directories.begin();
    std::advance(at, static_cast<long>(random_() % model_.directories.size()));
    return at->first;
  }
  std::string any_name() {
    const std::string stem(1 + random_() % 3, static_cast<char>('a' + random_() % 3));
    if (random_() % 20 == 0) return stem + std::string(250, '\xfe');
    return stem + std::to_string(random_() % 30);
  }
  Entry any_entry() {
    const bool directory = random_() % 4 == 0;
    return {directory ? Entry::kDirectory : 0, static_cast<std::int64_t>(random_() % 3) - 1};
  }
  Listing any_listing() {
    std::vector<NamedEntry> entries;
    const unsigned most = random_() % 5 == 0 ? 400 : 8;
    for (unsigned n = random_() % most; n > 0; --n) entries.push_back({any_name(), any_entry()});
    return Listing(std::move(entries));
  }

  // A number for a name that is new, or whose kind changed: never one that was given before.
  TreeEntry check_new(const std::optional<TreeEntry>& stored, const Entry& entry) {
    REQUIRE(stored);
    REQUIRE_MESSAGE(given_.insert(stored->inode).second, "an inode was given twice");
    REQUIRE(stored->entry == entry);
    REQUIRE(stored->seen_s == now_s_);
    return *stored;
  }

  void put(Inode directory) {
    const std::string name = any_name();
    const Entry entry = any_entry();
    const auto stored = tree_->put(directory, name, entry);
    REQUIRE(stored);
    auto& names = model_.directories[directory];
    const auto known = names.find(name);
    if (known != names.end() &&
        known->second.entry.entry.is_directory() == entry.is_directory()) {
      known->second.entry.entry = entry;
      REQUIRE(*stored == known->second.entry);
      return;
    }
    model_.set(directory, name, {check_new(*stored, entry), true});
  }

  void add_listed(Inode directory) {
    const Listing some = any_listing();
    REQUIRE(tree_->add_listed(directory, some.entries()));
    set_listed(directory, some, model_.directories[directory]);
  }

  // `before`: the names of the directory.
  void set_listed(Inode directory, const Listing& merged,
                  const std::map<std::string, ModelName> before) {
    for (const NamedEntry& listed : merged.entries()) {
      const Entry entry = *merged.find(listed.name);  // the directory, if it stands twice
      const auto known = before.find(listed.name);
      if (known != before.end() &&
          known->second.entry.entry.is_directory() == entry.is_directory()) {
        TreeEntry updated = known->second.entry;
        updated.entry = entry;
        model_.set(directory, listed.name, {updated, false});
      } else if (entry == listed.entry) {
        const auto stored = tree_->lookup(directory, listed.name);
        model_.set(directory, listed.name, {check_new(stored, entry), false});
      }
    }
  }

  void store_listing(Inode directory) {
    std::vector<StoredShare> shares;
    for (const char* node : {"node1", "node2", "node3"}) {
      if (random_() % 3 == 0) continue;
      shares.push_back({node, "e" + std::to_string(random_()), any_listing()});
    }
    std::vector<const Listing*> listings;
    for (const StoredShare& share : shares) listings.push_back(&share.listing);
    const Listing merged = merge(listings);
    Tree::StoreOptions options;
    options.complete = random_() % 3 != 0;
    options.age = std::chrono::seconds(random_() % 4 == 0 ? random_() % 10 : 0);
    REQUIRE(tree_->store_listing(directory, merged, shares, options));

    bool kept = false;
    const auto before = model_.directories[directory];
    for (const auto& [name, known] : before) {
      if (merged.find(name)) continue;
      const bool young = now_s_ - options.age.count() - known.entry.seen_s < 5;
      if (known.unconfirmed && (young || !options.complete)) {
        kept |= options.complete;
      } else {
        model_.remove(directory, name);
      }
    }
    set_listed(directory, merged, before);
    model_.shares[directory].clear();
    for (StoredShare& share : shares) {
      if (kept) share.etag.clear();
      model_.shares[directory][share.node_key] = share;
    }
  }

  ScratchFolder scratch_;
  std::mt19937 random_;
  std::int64_t now_s_ = 1'800'000'000;
  std::unique_ptr<Tree> tree_;
  Model model_;
  std::set<Inode> given_;
};

TEST_CASE("tree: any order of changes, listings and restarts leaves what a plain map would hold") {
  for (int round = 0; round < 5; ++round) {
    const unsigned seed = std::random_device{}();
    INFO("seed ", seed);
    Run run(seed);
    for (int i = 0; i < 400; ++i) {
      run.step();
      if (i % 20 == 0) run.compare();
    }
    run.compare();
  }
}

}  // namespace
}  // namespace skein
