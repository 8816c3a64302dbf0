#include "dataserver/sealing.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include "dataserver/lane_connection.h"
#include "dataserver/scratch_store.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

Deadline soon() { return Deadline::after(5000ms); }

// A stage whose writable descriptor is in the hands of "the client".
struct HandedOut {
  explicit HandedOut(ScratchStore& s) : stage(make(s)) {
    auto writable = stage.hand_out();
    REQUIRE(writable);
    client = std::move(*writable);
  }
  static StagedFile make(ScratchStore& s) {
    auto staged = s.store->stage(s.path("f"), 0);
    REQUIRE(staged);
    return std::move(*staged);
  }
  StagedFile stage;
  Fd client;
};

TEST_CASE("seal: a file that nobody can write to any more is published itself") {
  ScratchStore s;
  HandedOut h(s);
  REQUIRE(::pwrite(h.client.get(), "abc", 3, 0) == 3);
  h.client.reset();
  const auto sealed = seal(*s.store, h.stage, s.path("f"), 3);
  REQUIRE(sealed);
  CHECK(*sealed == SealKind::kSameFile);
  CHECK(s.read_by_hand("f") == "abc");
}

TEST_CASE("seal: a descriptor that the client kept cannot change the published bytes") {
  ScratchStore s;
  HandedOut h(s);
  REQUIRE(::pwrite(h.client.get(), "abc", 3, 0) == 3);
  const auto sealed = seal(*s.store, h.stage, s.path("f"), 3);
  REQUIRE(sealed);
  CHECK(*sealed == SealKind::kCopy);
  CHECK(::pwrite(h.client.get(), "forged", 6, 0) == 6);
  CHECK(s.read_by_hand("f") == "abc");
}

TEST_CASE("seal: a mapping that the client kept cannot change the published bytes") {
  ScratchStore s;
  HandedOut h(s);
  REQUIRE(::pwrite(h.client.get(), "abc", 3, 0) == 3);
  void* map = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, h.client.get(), 0);
  REQUIRE(map != MAP_FAILED);
  h.client.reset();
  const auto sealed = seal(*s.store, h.stage, s.path("f"), 3);
  REQUIRE(sealed);
  CHECK(*sealed == SealKind::kCopy);
  static_cast<char*>(map)[0] = 'X';
  CHECK(s.read_by_hand("f") == "abc");
  ::munmap(map, 4096);
}

TEST_CASE("seal: another size than announced is refused, and the stage can still be sealed") {
  ScratchStore s;
  HandedOut h(s);
  REQUIRE(::pwrite(h.client.get(), "abc", 3, 0) == 3);
  h.client.reset();
  CHECK(seal(*s.store, h.stage, s.path("f"), 4).error().code == std::errc::invalid_argument);
  CHECK(seal(*s.store, h.stage, s.path("f"), 3));
}

TEST_CASE("seal: a taken name is refused whether or not a writer remains") {
  ScratchStore s;
  REQUIRE(s.put("taken", "first"));
  HandedOut h(s);
  CHECK(seal(*s.store, h.stage, s.path("taken"), 0).error().code == std::errc::file_exists);
  h.client.reset();
  CHECK(seal(*s.store, h.stage, s.path("taken"), 0).error().code == std::errc::file_exists);
  CHECK(s.read_by_hand("taken") == "first");
}

// A lane served by this test's thread: what the client asks is answered by the next turn.
struct Lane {
  explicit Lane(ScratchStore& s) : Lane(s, make_pair()) {}

  LaneReply ask(LaneVerb verb, const std::string& path = {}, std::uint64_t stage = 0,
                std::uint64_t size = 0) {
    REQUIRE(send_request(client.get(), {verb, stage, size, path}, soon()));
    CHECK_FALSE(server.take_turn(bench).close);
    auto reply = receive_reply(client.get(), soon());
    REQUIRE(reply);
    return std::move(*reply);
  }

  Fd client;
  KeptStages kept;
  LaneConnection server;
  Workbench bench;

 private:
  static std::pair<Fd, Fd> make_pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    return {Fd(fds[0]), Fd(fds[1])};
  }
  Lane(ScratchStore& s, std::pair<Fd, Fd> fds)
      : client(std::move(fds.first)),
        kept(*s.store),
        server(std::move(fds.second), *s.store, kept) {}
};

TEST_CASE("lane: create, write, check, seal, open") {
  ScratchStore s;
  Lane lane(s);
  CHECK(lane.ask(LaneVerb::kHello).text == s.store->node_id());
  LaneReply created = lane.ask(LaneVerb::kCreate, "d/f");
  REQUIRE(created.error == 0);
  REQUIRE(created.fd.valid());
  REQUIRE(::pwrite(created.fd.get(), "abc", 3, 0) == 3);
  CHECK(lane.ask(LaneVerb::kOpen, "d/f").error == ENOENT);
  CHECK(lane.ask(LaneVerb::kCheck, "d/f", created.stage, 3).error == 0);
  created.fd.reset();
  CHECK(lane.ask(LaneVerb::kSeal, "d/f", created.stage, 3).error == 0);
  const LaneReply opened = lane.ask(LaneVerb::kOpen, "d/f");
  REQUIRE(opened.error == 0);
  CHECK(opened.size_bytes == 3);
  char byte = 'X';
  CHECK(::pwrite(opened.fd.get(), &byte, 1, 0) == -1);
  CHECK(::pread(opened.fd.get(), &byte, 1, 0) == 1);
  CHECK(byte == 'a');
}

TEST_CASE("lane: names that are taken, private, outside or no files are refused with their errno") {
  ScratchStore s;
  REQUIRE(s.put("taken", "x"));
  REQUIRE(s.store->make_directory(s.path("dir")));
  std::filesystem::create_symlink("/etc", s.on_disk("out"));
  Lane lane(s);
  CHECK(lane.ask(LaneVerb::kCreate, "taken").error == EEXIST);
  CHECK(lane.ask(LaneVerb::kCreate, "taken/below").error == EEXIST);
  CHECK(lane.ask(LaneVerb::kCreate, ".skein/x").error == EACCES);
  CHECK(lane.ask(LaneVerb::kCreate, "../x").error == EINVAL);
  CHECK(lane.ask(LaneVerb::kCreate, "out/x").error == EACCES);
  CHECK(lane.ask(LaneVerb::kOpen, ".skein/node-id").error == EACCES);
  CHECK(lane.ask(LaneVerb::kOpen, "out/passwd").error == EACCES);
  CHECK(lane.ask(LaneVerb::kOpen, "dir").error == EISDIR);
  CHECK(lane.ask(LaneVerb::kSeal, "f", 77, 0).error == ENOENT);
  CHECK(lane.ask(LaneVerb::kDrop, "", 77).error == ENOENT);
  CHECK(lane.ask(static_cast<LaneVerb>(99), "f").error == ENOSYS);
}

TEST_CASE("lane: the name may be taken before the seal; the stage is kept for another") {
  ScratchStore s;
  Lane lane(s);
  LaneReply created = lane.ask(LaneVerb::kCreate, "f");
  created.fd.reset();
  REQUIRE(s.put("f", "other"));
  CHECK(lane.ask(LaneVerb::kCheck, "f", created.stage, 0).error == EEXIST);
  CHECK(lane.ask(LaneVerb::kSeal, "f", created.stage, 0).error == EEXIST);
  CHECK(lane.ask(LaneVerb::kSeal, "g", created.stage, 0).error == 0);
  CHECK(s.read_by_hand("f") == "other");
}

}  // namespace
}  // namespace skein
