#include "dataserver/kept_stages.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "core/lane.h"
#include "dataserver/lane_connection.h"
#include "dataserver/scratch_store.h"

using namespace skein;
using namespace std::chrono_literals;

namespace {

// A lane connection without its loop: turns are given by hand.
struct LaneEnd {
  LaneEnd(ScratchStore& s, KeptStages& kept) {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    client.reset(ends[0]);
    server = std::make_unique<LaneConnection>(Fd(ends[1]), *s.store, kept);
  }
  LaneReply ask(const LaneRequest& request) {
    REQUIRE(send_request(client.get(), request, Deadline::after(1s)));
    REQUIRE_FALSE(server->take_turn(bench).close);
    auto reply = receive_reply(client.get(), Deadline::after(1s));
    REQUIRE(reply);
    return std::move(*reply);
  }
  // Writes "abc" into a new stage and gives its descriptor up.
  std::uint64_t write(const std::string& path) {
    const LaneReply made = ask({LaneVerb::kCreate, 0, 0, path});
    REQUIRE(made.error == 0);
    REQUIRE(::write(made.fd.get(), "abc", 3) == 3);
    return made.stage;
  }
  // The client's process is gone.
  void die() {
    client.reset();
    REQUIRE(server->take_turn(bench).close);
    server.reset();
  }
  // It was not, and the server ends.
  void end_of_server() { server.reset(); }

  Workbench bench;
  Fd client;
  std::unique_ptr<LaneConnection> server;
};

std::size_t names_kept(const ScratchStore& s) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(s.on_disk(".skein/kept")), {}));
}

}  // namespace

TEST_CASE("kept stages: a checked stage outlives its writer and the server, and is published") {
  ScratchStore s;
  std::string id;
  {
    KeptStages kept(*s.store);
    LaneEnd lane(s, kept);
    const auto stage = lane.write("d/a");
    REQUIRE(lane.ask({LaneVerb::kCheck, stage, 3, "d/a"}).error == 0);
    lane.write("d/unchecked");
    lane.die();
    CHECK(kept.count() == 1);
    CHECK_FALSE(s.store->open_file(s.path("d/a")));
  }
  KeptStages kept(*s.store);
  LaneEnd lane(s, kept);
  const LaneReply found = lane.ask({LaneVerb::kNextKept, 0, 0, ""});
  REQUIRE(found.error == 0);
  CHECK(found.size_bytes == 3);
  REQUIRE(found.text.ends_with("/d/a"));
  id = found.text.substr(0, 36);
  char bytes[4] = {};
  CHECK(::pread(found.fd.get(), bytes, 4, 0) == 3);
  CHECK(std::string(bytes) == "abc");
  CHECK(lane.ask({LaneVerb::kNextKept, 0, 0, id}).error == ENOENT);

  REQUIRE(s.put("d/taken", "x"));
  CHECK(lane.ask({LaneVerb::kPublishKept, 0, 0, id + "/d/taken"}).error == EEXIST);
  CHECK(kept.count() == 1);
  REQUIRE(lane.ask({LaneVerb::kPublishKept, 0, 0, id + "/d/a"}).error == 0);
  CHECK(s.read_by_hand("d/a") == "abc");
  CHECK(names_kept(s) == 0);
  CHECK(lane.ask({LaneVerb::kPublishKept, 0, 0, id + "/d/b"}).error == ENOENT);
}

TEST_CASE("kept stages: what its writer drops or seals is not kept") {
  ScratchStore s;
  KeptStages kept(*s.store);
  LaneEnd lane(s, kept);
  for (const LaneVerb end : {LaneVerb::kDrop, LaneVerb::kSeal}) {
    const auto stage = lane.write("a");
    REQUIRE(lane.ask({LaneVerb::kCheck, stage, 3, "a"}).error == 0);
    REQUIRE(lane.ask({end, stage, 3, "a"}).error == 0);
  }
  lane.die();
  CHECK(names_kept(s) == 0);
  CHECK(s.read_by_hand("a") == "abc");
}

TEST_CASE("kept stages: a drop counts even if its sender closed with a reply unread") {
  ScratchStore s;
  KeptStages kept(*s.store);
  LaneEnd lane(s, kept);
  const auto stage = lane.write("a");
  REQUIRE(send_request(lane.client.get(), {LaneVerb::kCheck, stage, 3, "a"}, Deadline::after(1s)));
  REQUIRE_FALSE(lane.server->take_turn(lane.bench).close);
  REQUIRE(send_request(lane.client.get(), {LaneVerb::kDrop, stage, 0, ""}, Deadline::after(1s)));
  lane.die();
  CHECK(names_kept(s) == 0);
}

TEST_CASE("kept stages: dropping one leaves the others; foreign names and ids are refused") {
  ScratchStore s;
  KeptStages kept(*s.store);
  for (const char* name : {"a", "b"}) {
    LaneEnd lane(s, kept);
    REQUIRE(lane.ask({LaneVerb::kCheck, lane.write(name), 3, name}).error == 0);
    lane.die();
  }
  LaneEnd lane(s, kept);
  const std::string id = lane.ask({LaneVerb::kNextKept, 0, 0, ""}).text.substr(0, 36);
  REQUIRE(lane.ask({LaneVerb::kDropKept, 0, 0, id}).error == 0);
  CHECK(lane.ask({LaneVerb::kDropKept, 0, 0, id}).error == ENOENT);
  CHECK(kept.count() == 1);
  const std::string other = lane.ask({LaneVerb::kNextKept, 0, 0, ""}).text.substr(0, 36);
  CHECK(lane.ask({LaneVerb::kDropKept, 0, 0, "../stage/x"}).error == EINVAL);
  CHECK(lane.ask({LaneVerb::kPublishKept, 0, 0, other + "/.skein/x"}).error == EACCES);
  CHECK(lane.ask({LaneVerb::kPublishKept, 0, 0, other + "/../x"}).error == EINVAL);
  CHECK(lane.ask({LaneVerb::kPublishKept, 0, 0, other + "/"}).error == EEXIST);
  CHECK(kept.count() == 1);
}

TEST_CASE("kept stages: a checked stage outlives the server that ends before its client") {
  ScratchStore s;
  KeptStages kept(*s.store);
  LaneEnd lane(s, kept);
  REQUIRE(lane.ask({LaneVerb::kCheck, lane.write("d/a"), 3, "d/a"}).error == 0);
  lane.write("unchecked");
  const auto dropped = lane.write("dropped");
  REQUIRE(lane.ask({LaneVerb::kCheck, dropped, 3, "dropped"}).error == 0);
  // Sent, and not read yet.
  REQUIRE(send_request(lane.client.get(), {LaneVerb::kDrop, dropped, 0, ""}, Deadline::after(1s)));
  lane.end_of_server();
  REQUIRE(kept.count() == 1);
  CHECK(kept.next("")->path.text() == "d/a");
}

TEST_CASE("kept stages: after a power cut only what was flushed before is published") {
  ScratchStore s;
  std::string flushed, unflushed;
  {
    KeptStages kept(*s.store);
    for (const char* name : {"flushed", "unflushed"}) {
      LaneEnd lane(s, kept);
      REQUIRE(lane.ask({LaneVerb::kCheck, lane.write(name), 3, name}).error == 0);
      lane.die();
    }
    auto kept_file = kept.next("");
    for (; kept_file; kept_file = kept.next(kept_file->id)) {
      (kept_file->path.text() == "flushed" ? flushed : unflushed) = kept_file->id;
    }
    const std::string file = s.on_disk(".skein/kept/" + unflushed).string();
    if (::removexattr(file.c_str(), "user.skein.mark") != 0) {
      MESSAGE("SKIP: the filesystem of the scratch folder knows no user attributes");
      return;
    }
  }
  s.write_by_hand(".skein/kept/00000000-0000-4000-8000-000000000000", "abc");
  s.write_by_hand(".skein/kept/00000000-0000-4000-8000-000000000000.path", "");
  s.cut_power();
  KeptStages kept(*s.store);
  CHECK(kept.next("")->id == std::min(flushed, unflushed));  // not hidden by one without a path
  CHECK(kept.publish(unflushed, s.path("unflushed")).error().code == std::errc::io_error);
  CHECK_FALSE(s.store->open_file(s.path("unflushed")));
  CHECK(kept.publish(flushed, s.path("flushed")));
  CHECK(s.read_by_hand("flushed") == "abc");
  CHECK(kept.drop(unflushed));
}

TEST_CASE("kept stages: a start cleans up after a server that died half-way") {
  ScratchStore s;
  std::string id;
  {
    KeptStages kept(*s.store);
    LaneEnd lane(s, kept);
    REQUIRE(lane.ask({LaneVerb::kCheck, lane.write("a"), 3, "a"}).error == 0);
    lane.die();
    id = kept.next("")->id;
  }
  // Published, and not yet forgotten; and a path whose bytes never came.
  std::filesystem::create_hard_link(s.on_disk(".skein/kept/" + id), s.on_disk("a"));
  s.write_by_hand(".skein/kept/00000000-0000-4000-8000-000000000000.path", "b");
  KeptStages kept(*s.store);
  CHECK(names_kept(s) == 0);
  CHECK(s.read_by_hand("a") == "abc");
}
