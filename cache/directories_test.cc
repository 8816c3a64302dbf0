#include "cache/directories.h"

#include <doctest/doctest.h>

#include <latch>
#include <thread>

#include "cache/directories_scene.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

TEST_CASE("directories: a file once seen is answered without asking, however long ago") {
  Scene scene;
  scene.one.add("x", "12345");
  CHECK(scene.directories->lookup(kRootInode, "x")->entry.size == 5);
  scene.pass(3600s);
  const int before = scene.requests();
  CHECK(scene.directories->lookup(kRootInode, "x")->entry.size == 5);
  CHECK(scene.requests() == before);
  scene.restart();
  CHECK(scene.directories->lookup(kRootInode, "x")->entry.size == 5);
  CHECK(scene.requests() == before);
}

TEST_CASE("directories: a name is absent until the trust time is over, then looked for again") {
  Scene scene;
  CHECK(scene.failure("late") == std::errc::no_such_file_or_directory);
  scene.two.add("late", "1");
  const int before = scene.requests();
  scene.time.advance(kTrust - 1ms);
  CHECK_FALSE(scene.has("late"));
  CHECK(scene.requests() == before);
  scene.time.advance(1ms);
  CHECK(scene.has("late"));
}

TEST_CASE("directories: an unchanged directory is confirmed by its ETags") {
  Scene scene;
  scene.one.add("d/a", "1");
  scene.two.add("d/b", "22");
  const Inode d = scene.directories->lookup(kRootInode, "d")->inode;
  CHECK(scene.missing(d).empty());
  std::atomic<int> conditional = 0;
  const auto count = [&](ScriptedServer&, HttpStream&,
                         const RequestHead& head) -> std::optional<bool> {
    if (head.find("If-None-Match")) ++conditional;
    return std::nullopt;
  };
  scene.one.interrupt(count);
  scene.two.interrupt(count);
  scene.pass(10s);
  const std::uint64_t version = scene.tree->share_heads(d)->version;
  CHECK(scene.missing(d).empty());
  CHECK(conditional == 2);
  CHECK(scene.tree->share_heads(d)->version == version);
  CHECK(scene.tree->names(d, "", 9)->size() == 2);
  // One node changes: the other's share is taken from the tree.
  scene.two.add("d/c", "333");
  scene.pass(10s);
  CHECK(scene.missing(d).empty());
  CHECK(scene.tree->names(d, "", 9)->size() == 3);
}

TEST_CASE("directories: a server without ETags, as PYME's, is listed in full each time") {
  Scene scene;
  MemoryNode::Manners pyme;
  pyme.etags = false;
  MemoryNode old(pyme);
  scene.membership.tell({old.node()});
  old.add("a", "1");
  CHECK(scene.has("a"));
  old.add("b", "1");
  scene.pass(3s);
  CHECK(scene.has("b"));
  old.remove("a");
  scene.pass(3s);
  CHECK(scene.failure("c") == std::errc::no_such_file_or_directory);
  CHECK_FALSE(scene.has("a"));
}

TEST_CASE("directories: a name that is a file here and a directory there is a directory") {
  Scene scene;
  scene.one.add("x", "1");
  scene.two.add("x/y", "1");
  const auto x = scene.directories->lookup(kRootInode, "x");
  REQUIRE(x);
  CHECK(x->entry.is_directory());
  CHECK(scene.has("y", x->inode));
}

TEST_CASE("directories: an own write is seen at once, and a listing under way does not hide it") {
  Scene scene;
  scene.one.add("old", "1");
  CHECK(scene.missing().empty());
  std::latch asked(1), noted(1);
  scene.one.interrupt([&](ScriptedServer&, HttpStream& stream,
                          const RequestHead&) -> std::optional<bool> {
    // The node looks before the write, and its answer arrives after it.
    asked.count_down();
    noted.wait();
    return reply(stream, 200, "ETag: \"stale\"\r\n", R"({"old":[0,1],"late":[0,1]})");
  });
  scene.pass(10s);
  std::jthread reader([&] { CHECK(scene.has("late")); });
  asked.wait();
  const auto own = scene.directories->note_created(kRootInode, "own", {0, 7});
  REQUIRE(own);
  CHECK(*scene.directories->lookup(kRootInode, "own") == *own);
  noted.count_down();
  reader.join();
  CHECK(*scene.directories->lookup(kRootInode, "own") == *own);
  CHECK(scene.tree->names(kRootInode, "", 9)->size() == 3);
}

TEST_CASE("directories: many who want the same directory ask once") {
  Scene scene;
  scene.one.add("x", "1");
  std::latch asked(1), answer(1);
  scene.one.interrupt([&](ScriptedServer&, HttpStream&,
                          const RequestHead&) -> std::optional<bool> {
    asked.count_down();
    answer.wait();
    return std::nullopt;
  });
  std::atomic<int> found = 0;
  std::vector<std::jthread> readers;
  readers.emplace_back([&] { found += scene.has("x"); });
  asked.wait();
  for (int i = 0; i < 7; ++i) readers.emplace_back([&] { found += scene.has("x"); });
  answer.count_down();
  readers.clear();
  CHECK(found == 8);
  CHECK(scene.one.server().requests() == 1);
}

TEST_CASE("directories: a growing file shows its size as it grows") {
  Scene scene;
  scene.one.add("_aggregate/log.txt", "1");
  const Inode growing = scene.directories->lookup(kRootInode, "_aggregate")->inode;
  CHECK(scene.directories->lookup(growing, "log.txt")->entry.size == 1);
  scene.one.add("_aggregate/log.txt", "12345");
  // Sooner than a listing of sealed files is asked for again.
  scene.time.advance(Directories::kGrowingTrust);
  CHECK(scene.directories->lookup(growing, "log.txt")->entry.size == 5);
}

TEST_CASE("directories: a file is no directory, and an unknown inode is nothing") {
  Scene scene;
  scene.one.add("x", "1");
  const Inode x = scene.directories->lookup(kRootInode, "x")->inode;
  CHECK(scene.directories->refresh(x).error().code == std::errc::not_a_directory);
  CHECK(scene.directories->refresh(987654).error().code == std::errc::no_such_file_or_directory);
  CHECK(scene.failure("y", 987654) == std::errc::no_such_file_or_directory);
  CHECK(scene.directories->path_of(x)->text() == "x");
  CHECK(scene.directories->path_of(kRootInode)->is_root());
}

}  // namespace
}  // namespace skein
