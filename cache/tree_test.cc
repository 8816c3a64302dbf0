#include "cache/tree.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "core/scratch_folder.h"

namespace skein {
namespace {

constexpr Entry file(std::int64_t size) { return {0, size}; }
constexpr Entry directory(std::int64_t names) { return {Entry::kDirectory, names}; }

// A tree in a scratch folder, whose seconds stand still.
struct Scene {
  ScratchFolder scratch;
  std::int64_t now_s = 1'800'000'000;
  std::unique_ptr<Tree> tree;

  explicit Scene(std::uint64_t max_bytes = 1 << 30) : max_bytes_(max_bytes) { reopen(); }
  void reopen() {
    tree.reset();
    Tree::Options options;
    options.folder = scratch.path();
    options.cluster = "test";
    options.max_bytes = max_bytes_;
    options.now_s = [this] { return now_s; };
    auto opened = Tree::open(options);
    REQUIRE_MESSAGE(opened.ok(), (opened ? "" : opened.error().what));
    tree = std::move(*opened);
  }
  std::string names(Inode directory = kRootInode) {
    std::string text;
    for (const NamedTreeEntry& name : *tree->names(directory, "", 1000)) text += name.name + " ";
    return text;
  }

 private:
  const std::uint64_t max_bytes_;
};

TEST_CASE("tree: a name keeps inode, size and first time seen when the tree is opened again") {
  Scene scene;
  const TreeEntry put = *scene.tree->put(kRootInode, "frame00001.pzf", file(512));
  CHECK(put.inode > kRootInode);
  CHECK(put.seen_s == scene.now_s);
  scene.now_s += 1000;
  scene.reopen();
  CHECK(*scene.tree->lookup(kRootInode, "frame00001.pzf") == put);
  CHECK(scene.tree->place(put.inode)->parent == kRootInode);
  CHECK(scene.tree->place(put.inode)->name == "frame00001.pzf");
  CHECK_FALSE(scene.tree->lookup(kRootInode, "frame00002.pzf"));
}

TEST_CASE("tree: many names are put as each alone would be, and a refused one stops no other") {
  Scene scene;
  const Inode folder = scene.tree->put(kRootInode, "folder", directory(0))->inode;
  const TreeEntry known = *scene.tree->put(folder, "known", file(1));
  const std::vector<Tree::NewName> names{{folder, "a", file(7)}, {12345, "lost", file(1)},
                                         {folder, "", file(1)},  {folder, "known", file(2)},
                                         {folder, "a", file(7)}, {kRootInode, "b", file(8)}};
  const auto stored = *scene.tree->put_all(names);
  REQUIRE(stored.size() == names.size());
  CHECK(stored[0]->entry == file(7));
  CHECK_FALSE(stored[1]);
  CHECK_FALSE(stored[2]);
  CHECK(stored[3]->inode == known.inode);
  CHECK(stored[3]->entry == file(2));
  CHECK(*stored[4] == *stored[0]);
  CHECK(scene.names(folder) == "a known ");
  CHECK(*scene.tree->lookup(kRootInode, "b") == *stored[5]);
  CHECK(scene.tree->put_all({})->empty());
}

TEST_CASE("tree: the root hangs nowhere, and an unknown inode neither") {
  Scene scene;
  CHECK_FALSE(scene.tree->place(kRootInode));
  CHECK_FALSE(scene.tree->place(12345));
  CHECK(scene.tree->put(12345, "x", file(1)).error().code == std::errc::no_such_file_or_directory);
  CHECK(scene.tree->store_listing(12345, Listing(), {}).error().code ==
        std::errc::no_such_file_or_directory);
}

TEST_CASE("tree: a new listing keeps the inodes of names that stay and gives up those that go") {
  Scene scene;
  Listing first({{"a", file(1)}, {"b", file(2)}, {"d", directory(0)}});
  REQUIRE(scene.tree->store_listing(kRootInode, first, {{"node1", "e1", first}}));
  const auto b = *scene.tree->lookup(kRootInode, "b");
  const auto a = *scene.tree->lookup(kRootInode, "a");
  scene.now_s += 60;
  Listing second({{"b", file(2)}, {"c", file(3)}, {"d", directory(5)}});
  REQUIRE(scene.tree->store_listing(kRootInode, second, {{"node1", "e2", second}}));
  CHECK(scene.names() == "b c d ");
  CHECK(*scene.tree->lookup(kRootInode, "b") == b);
  CHECK(scene.tree->lookup(kRootInode, "d")->entry.size == 5);
  CHECK_FALSE(scene.tree->place(a.inode));
  // The number is not given again when the name comes back.
  REQUIRE(scene.tree->store_listing(kRootInode, first, {}));
  CHECK(scene.tree->lookup(kRootInode, "a")->inode > a.inode);
}

TEST_CASE("tree: a directory that goes takes everything below it along") {
  Scene scene;
  const Inode outer = scene.tree->put(kRootInode, "outer", directory(1))->inode;
  const Inode inner = scene.tree->put(outer, "inner", directory(1))->inode;
  const Inode leaf = scene.tree->put(inner, "leaf", file(1))->inode;
  Listing share({{"leaf", file(1)}});
  REQUIRE(scene.tree->store_listing(inner, share, {{"n", "e", share}}));
  REQUIRE(scene.tree->remove(kRootInode, "outer"));
  CHECK(scene.names().empty());
  CHECK(scene.names(outer).empty());
  CHECK_FALSE(scene.tree->place(inner));
  CHECK_FALSE(scene.tree->place(leaf));
  CHECK(scene.tree->shares(inner)->empty());
}

TEST_CASE("tree: a file that becomes a directory, or back, gets a new inode") {
  Scene scene;
  const Inode as_file = scene.tree->put(kRootInode, "x", file(1))->inode;
  const Inode as_directory = scene.tree->put(kRootInode, "x", directory(0))->inode;
  CHECK(as_directory != as_file);
  CHECK_FALSE(scene.tree->place(as_file));
  REQUIRE(scene.tree->put(as_directory, "below", file(1)));
  Listing listed({{"x", file(9)}});
  REQUIRE(scene.tree->store_listing(kRootInode, listed, {}));
  CHECK_FALSE(scene.tree->lookup(kRootInode, "x")->entry.is_directory());
  CHECK(scene.tree->lookup(kRootInode, "x")->inode != as_directory);
  CHECK(scene.names(as_directory).empty());
}

TEST_CASE("tree: of a name that is file and directory on different nodes the directory is shown") {
  Scene scene;
  Listing both({{"x", file(7)}, {"x", directory(2)}, {"y", file(1)}});
  REQUIRE(both.size() == 3);
  REQUIRE(scene.tree->store_listing(kRootInode, both, {{"n", "e", both}}));
  CHECK(scene.names() == "x y ");
  CHECK(scene.tree->lookup(kRootInode, "x")->entry == directory(2));
  CHECK(scene.tree->shares(kRootInode)->front().listing == both);
}

TEST_CASE("tree: a name written here survives a listing that was made before the write") {
  Scene scene;
  Listing stale({{"old", file(1)}});
  const TreeEntry own = *scene.tree->put(kRootInode, "own", file(10));
  REQUIRE(scene.tree->store_listing(kRootInode, stale, {{"n", "e1", stale}}));
  CHECK(scene.names() == "old own ");
  // The ETag is forgotten, so that the next question is asked in full.
  CHECK(scene.tree->share_heads(kRootInode)->etags.at("n").empty());

  SUBCASE("and once listed it goes with the next listing that lacks it") {
    Listing listed({{"old", file(1)}, {"own", file(10)}});
    REQUIRE(scene.tree->store_listing(kRootInode, listed, {{"n", "e2", listed}}));
    CHECK(*scene.tree->lookup(kRootInode, "own") == own);
    CHECK(scene.tree->share_heads(kRootInode)->etags.at("n") == "e2");
    REQUIRE(scene.tree->store_listing(kRootInode, stale, {{"n", "e3", stale}}));
    CHECK(scene.names() == "old ");
  }
  SUBCASE("but not for ever") {
    scene.now_s += 5;
    REQUIRE(scene.tree->store_listing(kRootInode, stale, {{"n", "e2", stale}}));
    CHECK(scene.names() == "old ");
    CHECK(scene.tree->share_heads(kRootInode)->etags.at("n") == "e2");
  }
  SUBCASE("and as long as the node it may be on is silent") {
    scene.now_s += 500;
    Tree::StoreOptions incomplete;
    incomplete.complete = false;
    REQUIRE(scene.tree->store_listing(kRootInode, stale, {{"n", "e2", stale}}, incomplete));
    CHECK(scene.names() == "old own ");
  }
}

TEST_CASE("tree: what somebody else stored meanwhile is not overwritten by an older answer") {
  Scene scene;
  Listing older({{"a", file(1)}}), newer({{"a", file(1)}, {"b", file(1)}});
  Tree::StoreOptions asked_before;
  asked_before.expected_version = scene.tree->share_heads(kRootInode)->version;
  REQUIRE(scene.tree->store_listing(kRootInode, newer, {{"n", "e2", newer}}));
  CHECK(scene.tree->store_listing(kRootInode, older, {{"n", "e1", older}}, asked_before)
            .error().code == std::errc::resource_unavailable_try_again);
  CHECK(scene.names() == "a b ");
  CHECK(scene.tree->share_heads(kRootInode)->etags.at("n") == "e2");
}

TEST_CASE("tree: shares come back as they were stored, whatever the names") {
  Scene scene;
  std::vector<NamedEntry> odd{{"\xff\xfe", file(-1)},
                              {"a b", file(1)},
                              {std::string(255, 'n'), file(0)},
                              {"\xc3\xa9", {Entry::kDirectory | Entry::kSeries, 7}}};
  for (int i = 0; i < 3000; ++i) {
    odd.push_back({"f" + std::to_string(i), file(i * 1'000'000'007LL)});
  }
  const std::vector<StoredShare> shares{{"10.0.0.1:80", "\"e\"", Listing(odd)},
                                        {"node2", "", Listing()},
                                        {"node3", "W/\"x\"", Listing({{"z", file(1)}})}};
  REQUIRE(scene.tree->store_listing(kRootInode, Listing(odd), shares));
  scene.reopen();
  auto found = *scene.tree->shares(kRootInode);
  CHECK(found == shares);
  CHECK(scene.tree->share_heads(kRootInode)->etags.at("10.0.0.1:80") == "\"e\"");

  SUBCASE("and a node that is no longer among them is forgotten, its place used anew") {
    const std::vector<StoredShare> fewer{shares[2], {"node4", "e", Listing({{"q", file(4)}})}};
    REQUIRE(scene.tree->store_listing(kRootInode, Listing(odd), fewer));
    found = *scene.tree->shares(kRootInode);
    REQUIRE(found.size() == 2);
    CHECK(std::count(fewer.begin(), fewer.end(), found[0]) == 1);
    CHECK(std::count(fewer.begin(), fewer.end(), found[1]) == 1);
  }
}

TEST_CASE("tree: names no filesystem could hold are refused, or left out of a listing") {
  Scene scene;
  const std::string long_name(256, 'x'), very_long_name(5000, 'x');
  CHECK(scene.tree->put(kRootInode, long_name, file(1)).error().code ==
        std::errc::filename_too_long);
  CHECK(scene.tree->put(kRootInode, "", file(1)).error().code == std::errc::invalid_argument);
  CHECK_FALSE(scene.tree->lookup(kRootInode, very_long_name));
  CHECK(scene.tree->remove(kRootInode, very_long_name));
  Listing listing({{"", file(1)}, {"ok", file(1)}, {very_long_name, file(1)}});
  REQUIRE(scene.tree->store_listing(kRootInode, listing, {{"n", "e", listing}}));
  CHECK(scene.names() == "ok ");
  CHECK(scene.tree->shares(kRootInode)->front().listing == Listing({{"ok", file(1)}}));
}

TEST_CASE("tree: names come in pages, in byte order, each exactly once") {
  Scene scene;
  const Inode before = scene.tree->put(kRootInode, "a", directory(0))->inode;
  const Inode here = scene.tree->put(kRootInode, "b", directory(0))->inode;
  REQUIRE(scene.tree->put(before, "stranger", file(1)));
  std::vector<NamedEntry> entries;
  for (int i = 0; i < 1000; ++i) entries.push_back({"n" + std::to_string(i), file(i)});
  const Listing listing(entries);
  REQUIRE(scene.tree->store_listing(here, listing, {}));
  for (const std::size_t most : {1u, 7u, 999u, 1000u, 5000u}) {
    CAPTURE(most);
    std::vector<NamedEntry> got;
    for (std::string after;;) {
      const auto page = *scene.tree->names(here, after, most);
      CHECK(page.size() <= most);
      for (const auto& name : page) got.push_back({name.name, name.entry.entry});
      if (page.size() < most) break;
      after = page.back().name;
    }
    CHECK(got == listing.entries());
  }
  CHECK(scene.tree->names(here, "n5", 1)->front().name == "n50");
  CHECK(scene.tree->names(here, "zzz", 1)->empty());
  CHECK(scene.tree->names(here, "", 0)->empty());
}

TEST_CASE("tree: a listing too large for one transaction is stored whole, in order, and again") {
  Scene scene;
  const auto listing = [](int first, int count) {
    std::vector<NamedEntry> entries;
    for (int i = first; i < first + count; ++i) {
      entries.push_back({"n" + std::to_string(1'000'000 + i), file(i)});
      if (i % 1000 == 0) entries.push_back({entries.back().name, directory(i)});
    }
    return Listing(std::move(entries));
  };
  const Listing before = listing(0, 60'000), after = listing(30'000, 60'000);
  REQUIRE(scene.tree->store_listing(kRootInode, before, {{"n", "e1", before}}));
  const TreeEntry stays = *scene.tree->lookup(kRootInode, "n1050001");
  REQUIRE(scene.tree->put(kRootInode, "a first", file(1)));
  Tree::StoreOptions options;
  options.expected_version = scene.tree->share_heads(kRootInode)->version;
  REQUIRE(scene.tree->store_listing(kRootInode, after, {{"n", "e2", after}}, options));
  CHECK(*scene.tree->lookup(kRootInode, "n1050001") == stays);
  CHECK(scene.tree->lookup(kRootInode, "n1031000")->entry == directory(31'000));
  CHECK(scene.tree->share_heads(kRootInode)->etags.at("n").empty());
  CHECK(scene.tree->shares(kRootInode)->front().listing == after);
  const auto names = *scene.tree->names(kRootInode, "", 1'000'000);
  REQUIRE(names.size() == 60'001);
  CHECK(names.front().name == "a first");
  CHECK(names[1].name == "n1030000");
  CHECK(names.back().name == "n1089999");
}

TEST_CASE("tree: two clusters do not see each other, whatever their names") {
  std::set<std::filesystem::path> folders;
  for (const char* cluster : {"", "%", ".", "..", "a/b", "a%2fb", "A", "a", "caf\xc3\xa9"}) {
    const auto folder = tree_folder("/cache", cluster);
    CHECK(folder.parent_path() == "/cache");
    CHECK(folder.filename() != ".");
    CHECK(folder.filename() != "..");
    CHECK(folders.insert(folder).second);
  }
}

TEST_CASE("tree: beyond its bound it forgets files but keeps directories and their inodes") {
  Scene scene(1 << 20);
  std::set<Inode> given;
  std::map<std::string, Inode> directories;
  std::uint64_t biggest = 0;
  for (int round = 0; round < 12; ++round) {
    const std::string name = "run" + std::to_string(round);
    const Inode inode = scene.tree->put(kRootInode, name, directory(1))->inode;
    CHECK(given.insert(inode).second);
    directories[name] = inode;
    std::vector<NamedEntry> entries;
    for (int i = 0; i < 3000; ++i) entries.push_back({"frame" + std::to_string(i), file(i)});
    const Listing listing(entries);
    REQUIRE(scene.tree->store_listing(inode, listing, {{"n", "e", listing}}));
    for (const auto& frame : *scene.tree->names(inode, "", 5000)) {
      CHECK_MESSAGE(given.insert(frame.entry.inode).second, "an inode was given twice");
    }
    biggest = std::max(biggest, scene.tree->size_bytes());
    for (const auto& [run, number] : directories) {
      CHECK(scene.tree->place(number)->name == run);
      CHECK(scene.tree->lookup(kRootInode, run)->inode == number);
    }
  }
  CHECK(biggest < 2 << 20);  // the bound, and one change of 3000 names beyond it
  CHECK_FALSE(scene.tree->lookup(directories["run0"], "frame0"));
  CHECK(scene.tree->share_heads(directories["run0"])->etags.empty());
  scene.reopen();
  CHECK(scene.tree->lookup(kRootInode, "run0")->inode == directories["run0"]);
}

TEST_CASE("tree: directories that alone fill a quarter of the bound are forgotten too") {
  Scene scene(1 << 20);
  std::vector<NamedEntry> entries;
  for (int i = 0; i < 20000; ++i) entries.push_back({"d" + std::to_string(i), directory(0)});
  REQUIRE(scene.tree->store_listing(kRootInode, Listing(entries), {}));
  const Inode last = scene.tree->lookup(kRootInode, "d19999")->inode;
  REQUIRE(scene.tree->size_bytes() > 1 << 20);
  const Inode next = scene.tree->put(kRootInode, "one more", file(1))->inode;
  CHECK(next > last);
  CHECK(scene.names() == "one more ");
  CHECK(scene.tree->size_bytes() < 1 << 20);
}

}  // namespace
}  // namespace skein
