#include "fuse/write_session.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "client/memory_lane.h"
#include "fuse/scratch_mount.h"

using namespace skein;

TEST_CASE("write session: what was closed is safe on the node, and visible only after the seal") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  auto session = mount.begin("a/b");
  REQUIRE(session);
  write_text(*session, "hello");
  REQUIRE(session->flush().ok());
  CHECK_FALSE(node.has("a/b"));
  const auto sealed = session->seal();
  REQUIRE(sealed.ok());
  CHECK(*sealed == 5);
  CHECK(node.file("a/b") == "hello");
  CHECK(mount.spool->kept() == 0);
}

TEST_CASE("write session: bytes that were closed and not sealed outlive the mount") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  write_text(*session, "acknowledged");
  REQUIRE(session->flush().ok());
  REQUIRE(mount.recovered(".json").size() == 1);
  CHECK(content(mount.recovered(".data").front()) == "acknowledged");
  CHECK(content(mount.recovered(".json").front()).find("\"/f\"") != std::string::npos);
}

TEST_CASE("write session: a name that is taken is told at the close") {
  MemoryNode node(skein_node());
  node.add("f", "first");
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  REQUIRE(session);
  write_text(*session, "second");
  const auto flushed = session->flush();
  REQUIRE_FALSE(flushed.ok());
  CHECK(flushed.error().code == std::errc::file_exists);
  const auto sealed = session->seal();
  REQUIRE_FALSE(sealed.ok());
  CHECK(node.file("f") == "first");
  REQUIRE(mount.recovered(".data").size() == 1);
  CHECK(content(mount.recovered(".data").front()) == "second");
}

TEST_CASE("write session: a name that only another node has is refused, too") {
  MemoryNode taken(skein_node());
  MemoryNode free(skein_node(kOtherId));
  taken.add("f", "first");
  ScratchMount mount({taken.node(), free.node()});
  for (int i = 0; i < 2; ++i) {  // placement takes each in turn
    auto session = mount.begin("f");
    write_text(*session, "second");
    const auto flushed = session->flush();
    REQUIRE_FALSE(flushed.ok());
    CHECK(flushed.error().code == std::errc::file_exists);
    session->drop();
  }
  CHECK_FALSE(free.has("f"));
}

TEST_CASE("write session: a node that is gone is replaced, at the close and at the seal") {
  MemoryNode first(skein_node());
  MemoryNode second(skein_node(kOtherId));
  ScratchMount mount({first.node(), second.node()});
  first.interrupt([](ScriptedServer&, HttpStream& stream, const RequestHead&)
                      -> std::optional<bool> { return reset(stream); });
  auto session = mount.begin("f");
  write_text(*session, "bytes");
  REQUIRE(session->flush().ok());
  CHECK(second.file("f").empty());
  REQUIRE(session->seal().ok());
  CHECK(second.file("f") == "bytes");
  CHECK_FALSE(mount.membership.reported.empty());
}

TEST_CASE("write session: a stage the node has lost is sent again at the seal") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  write_text(*session, "bytes");
  REQUIRE(session->flush().ok());
  int refusals = 1;
  node.interrupt([&](ScriptedServer&, HttpStream& stream,
                     const RequestHead& head) -> std::optional<bool> {
    if (head.target().find("__publish") == std::string::npos || refusals-- <= 0) return std::nullopt;
    return reply(stream, 404);
  });
  REQUIRE(session->seal().ok());
  CHECK(node.file("f") == "bytes");
}

TEST_CASE("write session: a full cluster is told at the close, and the bytes are kept") {
  MemoryNode node(skein_node());
  node.interrupt(refuse("PUT", "__stage", 507));
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  write_text(*session, "bytes");
  const auto flushed = session->flush();
  REQUIRE_FALSE(flushed.ok());
  CHECK(flushed.error().code == std::errc::no_space_on_device);
  REQUIRE_FALSE(session->seal().ok());
  REQUIRE(mount.recovered(".data").size() == 1);
  CHECK(content(mount.recovered(".data").front()) == "bytes");
}

TEST_CASE("write session: bytes written after a close are in the sealed file") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  write_text(*session, "one");
  REQUIRE(session->flush().ok());
  write_text(*session, "two", 3);
  REQUIRE(session->flush().ok());
  write_text(*session, "three", 6);
  REQUIRE(session->seal().ok());
  CHECK(node.file("f") == "onetwothree");
}

TEST_CASE("write session: a file that was synced is not taken for one that is being closed") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  write_text(*session, "one");
  REQUIRE(session->sync().ok());
  CHECK(session->is_flushed());
  CHECK_FALSE(session->is_closing());
  REQUIRE(session->flush().ok());
  CHECK(session->is_closing());
  write_text(*session, "two", 3);
  CHECK_FALSE(session->is_flushed());
  CHECK_FALSE(session->is_closing());
}

TEST_CASE("write session: a file renamed before its seal is stored under the new name only") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  auto session = mount.begin("f.tmp");
  write_text(*session, "bytes");
  REQUIRE(session->flush().ok());
  session->aim_at(path_of("f"));
  REQUIRE(session->flush().ok());
  REQUIRE(mount.recovered(".json").size() == 1);
  CHECK(content(mount.recovered(".json").front()).find("\"/f\"") != std::string::npos);
  REQUIRE(session->seal().ok());
  CHECK(node.file("f") == "bytes");
  CHECK_FALSE(node.has("f.tmp"));
}

TEST_CASE("write session: a server that knows no stages gets the file whole at the seal") {
  MemoryNode pyme;
  ScratchMount mount({pyme.node()});
  auto session = mount.begin("f");
  write_text(*session, "bytes");
  REQUIRE(session->flush().ok());
  CHECK_FALSE(pyme.has("f"));
  REQUIRE(mount.recovered(".data").size() == 1);
  REQUIRE(session->seal().ok());
  CHECK(pyme.file("f") == "bytes");
  CHECK(mount.spool->kept() == 0);
}

TEST_CASE("write session: a dropped file is nowhere") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  write_text(*session, "bytes");
  REQUIRE(session->flush().ok());
  session->drop();
  CHECK_FALSE(node.has("f"));
  CHECK(mount.recovered(".data").empty());
  CHECK(mount.spool->kept() == 0);
}

TEST_CASE("write session: a reader outlives the seal") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  write_text(*session, "bytes");
  const auto reader = session->open_reader();
  REQUIRE(reader.ok());
  REQUIRE(session->flush().ok());
  REQUIRE(session->seal().ok());
  char text[5];
  CHECK(::pread(reader->get(), text, 5, 0) == 5);
  CHECK(std::string(text, 5) == "bytes");
  const auto status = session->status();
  REQUIRE(status.ok());
  CHECK(status->st_size == 5);
}

TEST_CASE("write session: no node, no file") {
  ScratchMount mount(NodeList{});
  const auto session = WriteSession::begin(mount.parts(), path_of("f"), 1);
  REQUIRE_FALSE(session.ok());
  CHECK(session.error().code == std::errc::host_unreachable);
}

TEST_CASE("write session: the note of a closed file tells where its stage is now") {
  MemoryNode first(skein_node());
  MemoryNode second(skein_node(kOtherId));
  ScratchMount mount({first.node(), second.node()});
  auto session = mount.begin("f");
  write_text(*session, "one");
  REQUIRE(session->flush().ok());
  const auto note = [&] { return *parse_recovery_note(content(mount.recovered(".json").front())); };
  CHECK(note().node_url == first.node().url());
  CHECK_FALSE(note().stage_id.empty());
  first.interrupt(refuse("PUT", "__stage", 507));
  write_text(*session, "two", 3);
  REQUIRE(session->flush().ok());
  CHECK(note().node_url == second.node().url());
  session->drop();
}

namespace {

// A node of this host, which takes the first file by its lane and answers no HTTP; and another one.
struct LocalScene {
  std::shared_ptr<WriteSession> begin() {
    WriteSession::Parts parts{&lanes, &stages, mount.parts().cluster, *mount.spool, mount.senders};
    auto begun = WriteSession::begin(parts, path_of("f"), 1);
    REQUIRE(begun);
    REQUIRE((*begun)->is_node_local());
    return *begun;
  }
  Node local_node() const {
    Node node = local.node();
    node.address = dead_node().address;
    return node;
  }

  const ScratchFolder folder;
  LaneNode local{(folder.path() / "lane").string()};
  MemoryNode other{skein_node()};
  ScratchMount mount{{local_node(), other.node()}};
  LaneClient lanes{std::chrono::seconds(10)};
  ReadyStages stages{lanes, real_clock()};
};

}  // namespace

TEST_CASE("write session: it may be opened for reading while it is sealed") {
  LocalScene scene;
  const auto session = scene.begin();
  write_text(*session, "bytes");
  REQUIRE(session->flush().ok());
  std::atomic<bool> over{false};
  std::atomic<int> rounds{0};
  int whole = 0;
  int remote = 0;
  std::jthread reader([&] {
    while (!over) {
      remote += session->is_node_local() ? 0 : 1;
      const auto fd = session->open_reader();
      char text[5];
      if (fd && ::pread(fd->get(), text, 5, 0) == 5) whole += std::string_view(text, 5) == "bytes";
      rounds.fetch_add(1, std::memory_order_relaxed);
    }
  });
  const auto wait_for_rounds = [&] {
    for (const int before = rounds; rounds < before + 2;) std::this_thread::yield();
  };
  wait_for_rounds();
  CHECK(session->seal().ok());
  wait_for_rounds();
  over = true;
  reader.join();
  CHECK(whole > 0);
  CHECK(remote == 0);
  CHECK(scene.local.file("f") == "bytes");
}

TEST_CASE("write session: a node of this host that dies leaves each close in recover/") {
  LocalScene scene;
  const auto session = scene.begin();
  ScratchMount& mount = scene.mount;
  scene.local.closing = LaneVerb::kCheck;
  for (const char* text : {"one", "onetwo"}) {
    write_text(*session, text);
    REQUIRE(session->flush().ok());
    REQUIRE(mount.recovered(".data").size() == 1);
    CHECK(content(mount.recovered(".data").front()) == text);
  }
  REQUIRE(session->seal().ok());
  CHECK(scene.other.file("f") == "onetwo");
}

TEST_CASE("write session: the spool's bound is told to the writer") {
  ScratchFolder folder;
  auto spool = Spool::open(folder.path() / "spool", "test", 10 << 20);
  REQUIRE(spool.ok());
  CHECK((*spool)->reserve(8 << 20).ok());
  const auto refused = (*spool)->reserve(4 << 20);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == std::errc::no_space_on_device);
  (*spool)->give_back(8 << 20);
  CHECK((*spool)->reserve(10 << 20).ok());
}
