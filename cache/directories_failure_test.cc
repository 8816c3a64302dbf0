// Nodes that are silent, set aside, gone or back; files that vanish; a tree that is begun anew.
#include <doctest/doctest.h>

#include <atomic>

#include "cache/directories.h"
#include "cache/directories_scene.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

TEST_CASE("directories: a silent node keeps its last share and is named, others go on") {
  Scene scene;
  scene.one.add("on one", "1");
  scene.two.add("on two", "2");
  CHECK(scene.missing().empty());
  scene.two.interrupt(be_silent);
  scene.one.add("new on one", "3");
  scene.pass(10s);
  CHECK(scene.missing() == "node2 ");
  CHECK(scene.has("on two"));
  CHECK(scene.has("new on one"));
  CHECK(scene.failure("nowhere") == std::errc::no_such_file_or_directory);
  const auto reported = scene.membership.reported();
  CHECK(std::count(reported.begin(), reported.end(), "node2") > 0);
  // Back again: complete.
  scene.two.interrupt({});
  scene.two.add("new on two", "4");
  scene.pass(10s);
  CHECK(scene.missing().empty());
  CHECK(scene.has("new on two"));
}

TEST_CASE("directories: a node set aside keeps its share; one that left in order takes it along") {
  Scene scene;
  scene.one.add("on one", "1");
  scene.two.add("on two", "2");
  CHECK(scene.missing().empty());
  scene.membership.tell({scene.one.node()}, {scene.two.node()});
  CHECK(scene.missing() == "node2 ");
  CHECK(scene.has("on two"));
  scene.membership.tell({scene.one.node()});
  CHECK(scene.missing().empty());
  CHECK_FALSE(scene.has("on two"));
  CHECK(scene.has("on one"));
}

TEST_CASE("directories: one that only a node set aside has is not gone") {
  Scene scene;
  scene.one.add("on one", "1");
  scene.two.add("d/own", "1");
  const Inode d = scene.directories->lookup(kRootInode, "d")->inode;
  REQUIRE(scene.directories->note_created(d, "own", {0, 1}));
  scene.membership.tell({scene.one.node()}, {scene.two.node()});
  CHECK(scene.missing(d) == "node2 ");
  CHECK(scene.has("own", d));
  CHECK(scene.directories->lookup(kRootInode, "d")->inode == d);
}

TEST_CASE("directories: after a start, discovery has 10 s before a node counts as gone") {
  Scene scene;
  scene.one.add("on one", "1");
  scene.two.add("on two", "2");
  CHECK(scene.missing().empty());
  const Inode inode = scene.tree->lookup(kRootInode, "on two")->inode;
  scene.membership.tell({scene.one.node()});
  scene.restart();
  CHECK(scene.missing() == "node2 ");
  CHECK(scene.directories->lookup(kRootInode, "on two")->inode == inode);
  scene.pass(10s);
  CHECK(scene.missing().empty());
  CHECK_FALSE(scene.has("on two"));
}

TEST_CASE("directories: a node that joins or leaves is noticed before the trust time is over") {
  Scene scene;
  scene.membership.tell({scene.one.node()});
  CHECK_FALSE(scene.has("on two"));
  scene.two.add("on two", "2");
  scene.membership.tell({scene.one.node(), scene.two.node()});
  CHECK(scene.has("on two"));
}

TEST_CASE("directories: a share is dropped when its node no longer has the directory") {
  Scene scene;
  scene.one.add("d/a", "1");
  scene.two.add("d/b", "1");
  const Inode d = scene.directories->lookup(kRootInode, "d")->inode;
  CHECK(scene.missing(d).empty());
  scene.two.remove("d/b");
  scene.pass(10s);
  CHECK(scene.missing(d).empty());
  CHECK(scene.tree->names(d, "", 9)->size() == 1);
  // On no node any more: gone, with its name.
  scene.one.remove("d/a");
  scene.pass(10s);
  CHECK(scene.directories->refresh(d).error().code == std::errc::no_such_file_or_directory);
  CHECK_FALSE(scene.has("d"));
  CHECK(scene.directories->path_of(d).error().code == std::errc::no_such_file_or_directory);
}

TEST_CASE("directories: a file removed by hand goes after distrust, not if a node is silent") {
  Scene scene;
  scene.one.add("x", "1");
  scene.two.add("y", "1");
  CHECK(scene.has("x"));
  scene.one.remove("x");
  scene.pass(10s);
  CHECK(scene.has("x"));
  SUBCASE("all nodes answer") {
    scene.directories->distrust(kRootInode);
    CHECK(scene.failure("x") == std::errc::no_such_file_or_directory);
    CHECK(scene.has("y"));
  }
  SUBCASE("its node is silent") {
    scene.one.interrupt(be_silent);
    scene.directories->distrust(kRootInode);
    CHECK(scene.has("x"));
  }
}

TEST_CASE("directories: with nobody there, what is known is answered and the rest is unreachable") {
  Scene scene;
  scene.membership.tell({});
  CHECK(scene.failure("x") == std::errc::host_unreachable);
  CHECK(scene.directories->refresh(kRootInode).error().code == std::errc::host_unreachable);
  scene.one.add("x", "1");
  scene.one.add("d/y", "1");
  scene.membership.tell({scene.one.node()});
  CHECK(scene.has("x"));
  scene.membership.tell({}, {scene.one.node()});
  scene.pass(10s);
  CHECK(scene.has("x"));
  CHECK(scene.has("d"));
  CHECK(scene.missing() == "node1 ");
  CHECK(scene.failure("y", scene.tree->lookup(kRootInode, "d")->inode) ==
        std::errc::host_unreachable);
}

TEST_CASE("directories: a node that stops in the middle costs one timeout, and not its names") {
  Scene scene(200ms);
  scene.one.add("on one", "1");
  scene.two.add("on two", "1");
  CHECK(scene.missing().empty());
  scene.two.interrupt([](ScriptedServer& server, HttpStream&,
                         const RequestHead&) -> std::optional<bool> {
    server.stall();
    return false;
  });
  scene.pass(10s);
  const auto begun = std::chrono::steady_clock::now();
  CHECK(scene.missing() == "node2 ");
  CHECK(std::chrono::steady_clock::now() - begun < 5s);
  const int before = scene.requests();
  CHECK(scene.has("on two"));
  CHECK_FALSE(scene.has("nowhere"));
  CHECK(scene.requests() == before);
}

TEST_CASE("directories: what another process learned meanwhile is not lost to an older answer") {
  Scene scene;
  scene.membership.tell({scene.one.node()});
  scene.one.add("old", "1");
  CHECK(scene.has("old"));
  scene.one.add("new", "1");
  std::atomic<int> asked = 0;
  scene.one.interrupt([&](ScriptedServer&, HttpStream& stream,
                          const RequestHead&) -> std::optional<bool> {
    if (++asked > 1) return std::nullopt;
    // While this answer is on its way, another process asks and stores what it heard.
    const Listing newer({{"old", {0, 1}}, {"new", {0, 1}}});
    CHECK(scene.tree->store_listing(kRootInode, newer, {{"node1", "\"newer\"", newer}}));
    return reply(stream, 200, "ETag: \"older\"\r\n", R"({"old":[0,1],"gone":[0,1]})");
  });
  scene.pass(10s);
  CHECK(scene.missing().empty());
  CHECK(asked == 2);
  CHECK(scene.tree->lookup(kRootInode, "new"));
  CHECK_FALSE(scene.tree->lookup(kRootInode, "gone"));
}

TEST_CASE("directories: a tree begun anew under a trusted listing hides no file") {
  Scene scene(10s, 1 << 20);
  scene.one.add("d/file", "1");
  const Inode d = scene.directories->lookup(kRootInode, "d")->inode;
  CHECK(scene.has("file", d));
  std::vector<NamedEntry> many;
  for (int i = 0; i < 20000; ++i) many.push_back({"n" + std::to_string(i), {0, i}});
  const Inode other = scene.directories->note_created(kRootInode, "other",
                                                      {Entry::kDirectory, 0})->inode;
  REQUIRE(scene.tree->store_listing(other, Listing(many), {}));
  REQUIRE(scene.directories->note_created(kRootInode, "last drop", {0, 1}));
  REQUIRE_FALSE(scene.tree->lookup(d, "file"));
  CHECK(scene.has("file", d));
}

TEST_CASE("directories: an own file on a node that is then set aside stays known") {
  Scene scene;
  scene.one.add("on one", "1");
  CHECK(scene.missing().empty());
  REQUIRE(scene.directories->note_created(kRootInode, "own on two", {0, 7}));
  scene.membership.tell({scene.one.node()}, {scene.two.node()});
  for (int i = 0; i < 3; ++i) {
    scene.one.add("news " + std::to_string(i), "1");
    scene.pass(10s);
    CHECK(scene.missing() == "node2 ");
    CHECK(scene.has("own on two"));
  }
  // Its node is back and says that the name is not there.
  scene.membership.tell({scene.one.node(), scene.two.node()});
  scene.pass(10s);
  CHECK(scene.missing().empty());
  CHECK_FALSE(scene.has("own on two"));
}

}  // namespace
}  // namespace skein
