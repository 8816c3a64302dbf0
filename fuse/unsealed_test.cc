#include "fuse/unsealed.h"

#include <doctest/doctest.h>

#include <atomic>

#include "fuse/inode_table.h"
#include "fuse/scratch_mount.h"

using namespace skein;
using namespace std::chrono_literals;

namespace {

constexpr Inode kFolder = 7;

// A node, the parts of a mount over it, and the set under test.
struct Scene {
  explicit Scene(Unsealed::Options options = {})
      : mount({node.node()}),
        files(options, [this](const std::vector<Unsealed::Sealed>& files) {
          last_sealed = files.back().place.name;
          sealed += static_cast<int>(files.size());
        }) {}

  Unsealed::Session add(const std::string& name) {
    auto session = mount.begin(name, ++last_inode);
    write_text(*session, name);
    REQUIRE(files.add({kFolder, name}, session).ok());
    return session;
  }
  void close(const Unsealed::Session& session) {
    REQUIRE(session->flush().ok());
    files.close_writer(session);
  }
  bool await_sealed(int count) {
    const Deadline deadline = Deadline::after(10s);
    while (sealed < count && !deadline.passed()) std::this_thread::yield();
    return sealed >= count;
  }

  MemoryNode node{skein_node()};
  ScratchMount mount;
  Inode last_inode = kFirstPrivateInode;
  std::atomic<int> sealed{0};
  std::string last_sealed;
  Unsealed files;
};

Unsealed::Options lingering(std::chrono::milliseconds linger) {
  Unsealed::Options options;
  options.linger = linger;
  return options;
}

}  // namespace

TEST_CASE("unsealed: the last writer's close seals, earlier ones do not") {
  Scene scene;
  auto session = scene.add("f");
  REQUIRE(scene.files.add_writer(session).ok());
  scene.close(session);
  CHECK(scene.sealed == 0);
  CHECK(scene.files.find({kFolder, "f"}) == session);
  CHECK(scene.files.find(session->inode()) == session);
  scene.close(session);
  CHECK(scene.node.file("f") == "f");
  CHECK_FALSE(scene.files.add_writer(session).ok());
  CHECK(scene.files.wait_if_closing(session));
  CHECK(scene.sealed == 1);
  CHECK(scene.files.find({kFolder, "f"}) == nullptr);
}

TEST_CASE("unsealed: many files closed at once are all noted before they leave") {
  Scene scene;
  std::vector<Unsealed::Session> sessions;
  for (int i = 0; i < 100; ++i) sessions.push_back(scene.add("f" + std::to_string(i)));
  std::vector<std::jthread> closers;
  for (int part = 0; part < 4; ++part) {
    closers.emplace_back([&, part] {
      for (std::size_t i = part; i < sessions.size(); i += 4) scene.close(sessions[i]);
    });
  }
  closers.clear();
  scene.files.end(Unsealed::End::kAllClosed);
  CHECK(scene.sealed == 100);
  CHECK(scene.files.count() == 0);
}

TEST_CASE("unsealed: one name, one file") {
  Scene scene;
  auto session = scene.add("f");
  const auto again = scene.files.add({kFolder, "f"}, session);
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().code == std::errc::file_exists);
}

TEST_CASE("unsealed: a file whose writer was killed is dropped, unless asked otherwise") {
  for (const bool seal_on_kill : {false, true}) {
    Unsealed::Options options;
    options.seal_on_kill = seal_on_kill;
    Scene scene(options);
    auto session = scene.add("f");
    scene.files.note_killed(session, true);
    scene.files.close_writer(session);
    CHECK(scene.node.has("f") == seal_on_kill);
    CHECK(scene.files.wait_if_closing(session));
    CHECK(scene.files.find({kFolder, "f"}) == nullptr);
  }
}

TEST_CASE("unsealed: of a killed and a living writer, the one that closes last decides") {
  Scene scene;
  auto session = scene.add("f");
  REQUIRE(scene.files.add_writer(session).ok());
  scene.files.note_killed(session, true);
  scene.files.close_writer(session);
  scene.files.note_killed(session, false);
  scene.close(session);
  CHECK(scene.node.file("f") == "f");
}

TEST_CASE("unsealed: a temporary file waits for its rename and is sealed under the new name") {
  Scene scene(lingering(1h));
  auto session = scene.add(".f.Ab3dEf");
  scene.close(session);
  CHECK(scene.sealed == 0);
  REQUIRE(scene.files.rename({kFolder, ".f.Ab3dEf"}, {kFolder, "f"}, path_of("f")).ok());
  CHECK(scene.files.wait_if_closing(session));
  CHECK(scene.sealed == 1);
  CHECK(scene.last_sealed == "f");
  CHECK(scene.node.file("f") == ".f.Ab3dEf");
  CHECK_FALSE(scene.node.has(".f.Ab3dEf"));
}

TEST_CASE("unsealed: a temporary file that nobody renames is sealed by itself") {
  Scene scene(lingering(1ms));
  scene.close(scene.add("f.tmp"));
  CHECK(scene.await_sealed(1));
  CHECK(scene.node.file("f.tmp") == "f.tmp");
}

TEST_CASE("unsealed: a temporary file opened again is not sealed under its writer") {
  Scene scene(lingering(1h));
  auto session = scene.add("f.tmp");
  scene.close(session);
  REQUIRE(scene.files.add_writer(session).ok());
  write_text(*session, "changed");
  scene.close(session);
  scene.files.end(Unsealed::End::kAllClosed);
  CHECK(scene.node.file("f.tmp") == "changed");
}

TEST_CASE("unsealed: a rename onto a name that a node has is refused and changes nothing") {
  Scene scene(lingering(1h));
  scene.node.add("f", "first");
  scene.close(scene.add("f.tmp"));
  const auto renamed = scene.files.rename({kFolder, "f.tmp"}, {kFolder, "f"}, path_of("f"));
  REQUIRE_FALSE(renamed.ok());
  CHECK(renamed.error().code == std::errc::file_exists);
  CHECK(scene.files.find({kFolder, "f.tmp"}) != nullptr);
  scene.files.end(Unsealed::End::kAllClosed);
  CHECK(scene.node.file("f") == "first");
  CHECK(scene.node.file("f.tmp") == "f.tmp");
}

TEST_CASE("unsealed: a rename onto an own unsealed file replaces it") {
  Scene scene(lingering(1h));
  scene.close(scene.add("old.tmp"));
  scene.close(scene.add("new.tmp"));
  REQUIRE(
      scene.files.rename({kFolder, "new.tmp"}, {kFolder, "old.tmp"}, path_of("old.tmp")).ok());
  scene.files.end(Unsealed::End::kAllClosed);
  CHECK(scene.node.file("old.tmp") == "new.tmp");
  CHECK_FALSE(scene.node.has("new.tmp"));
  CHECK(scene.sealed == 1);
}

TEST_CASE("unsealed: an unlinked file is gone at once and its bytes with the last writer") {
  Scene scene;
  auto session = scene.add("f");
  REQUIRE(scene.files.remove({kFolder, "f"}).ok());
  CHECK(scene.files.find({kFolder, "f"}) == nullptr);
  CHECK_FALSE(scene.files.contains(session));
  write_text(*session, "still writable");
  scene.files.close_writer(session);
  CHECK_FALSE(scene.node.has("f"));
  CHECK_FALSE(scene.files.remove({kFolder, "f"}).ok());
}

TEST_CASE("unsealed: at the end closed files are sealed, open ones are kept for recovery") {
  Scene scene(lingering(1h));
  scene.close(scene.add("closed.tmp"));
  scene.add("open");
  scene.files.end(Unsealed::End::kForced);
  CHECK(scene.node.file("closed.tmp") == "closed.tmp");
  CHECK_FALSE(scene.node.has("open"));
  CHECK(scene.mount.recovered(".data").size() == 1);
}

TEST_CASE("unsealed: a forced end waits for a close that was answered, not for an open file") {
  Scene scene;
  scene.add("open");
  const auto started = std::chrono::steady_clock::now();
  scene.files.wait_for_closes(Deadline::after(10s));
  CHECK(std::chrono::steady_clock::now() - started < 5s);
  auto session = scene.add("closing");
  REQUIRE(session->flush().ok());
  std::jthread release([&] { scene.files.close_writer(session); });
  scene.files.wait_for_closes(Deadline::after(10s));
  CHECK(scene.node.file("closing") == "closing");
}

TEST_CASE("unsealed: names by which programs mean to rename a file") {
  for (const char* name : {".scan.tif.a1B2c3", "x.tmp", "x.part", "index.lock", "tmp_obj_abc",
                           ".goutputstream-12", "draft~", "ziUm3xYz", "x.db-journal"}) {
    CAPTURE(name);
    CHECK(is_temporary_name(name));
  }
  for (const char* name : {"frame00042.pzf", "a.b.c123456", ".hidden", ".profile.d", "temporal",
                           "x.tmp.tif", "abcdef", ".abcdef", "zigzag", "zi123456.tif"}) {
    CAPTURE(name);
    CHECK_FALSE(is_temporary_name(name));
  }
}
