#include "dataserver/owners.h"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <fstream>

#include "client/scripted_server.h"
#include "dataserver/scratch_store.h"

using namespace skein;
using namespace std::chrono_literals;

namespace {

using Kind = Owners::Verdict::Kind;

constexpr const char* kCluster = "test";
// Lower and higher than every node id that a store makes for itself.
constexpr const char* kLowId = "00000000-0000-4000-8000-000000000001";
constexpr const char* kHighId = "ffffffff-ffff-4fff-bfff-fffffffffff1";

// Another node, which answers claims by `answer` (a status line's number and fields).
struct Peer {
  explicit Peer(std::string id, std::function<bool(HttpStream&)> answer)
      : server([this, answer = std::move(answer)](ScriptedServer&, HttpStream& stream,
                                                  const RequestHead& head) {
          const std::lock_guard lock(mutex);
          asked.push_back(std::string(head.method()) + " " + std::string(head.target()));
          return answer(stream);
        }) {
    node = server.node();
    node.id = std::move(id);
    node.cluster = kCluster;
  }
  std::vector<std::string> questions() {
    const std::lock_guard lock(mutex);
    return asked;
  }

  std::mutex mutex;
  std::vector<std::string> asked;
  Node node;
  ScriptedServer server;  // last: ends before what its script uses
};

auto says(int status, const std::string& fields = {}) {
  return [=](HttpStream& stream) { return reply(stream, status, fields); };
}

std::string owned_by(const std::string& id) { return "Skein-Owner: " + id + "\r\n"; }

struct Scene : ScratchStore {
  MirrorSources members;
  std::unique_ptr<Owners> owners;
  std::mutex mutex;
  std::condition_variable settled;
  int verdicts = 0;

  explicit Scene(NodeList nodes)
      : members({.cluster = kCluster, .allowed = {}, .registry = true},
                std::make_unique<FixedMembership>(std::move(nodes))) {
    restart();
  }
  void restart() {
    owners.reset();
    owners = std::make_unique<Owners>(*store, members);
    owners->on_settled([this] {
      const std::lock_guard lock(mutex);
      ++verdicts;
      settled.notify_all();
    });
  }
  // Asks once, and waits for the verdict.
  Owners::Verdict first_verdict(const std::string& name) {
    int before = 0;
    {
      const std::lock_guard lock(mutex);
      before = verdicts;
    }
    Owners::Verdict told = owners->ask(path(name));
    if (told.kind != Kind::kAsking) return told;
    std::unique_lock lock(mutex);
    REQUIRE(settled.wait_for(lock, 30s, [&] { return verdicts > before; }));
    lock.unlock();
    return owners->ask(path(name));
  }
  // As a client that comes again: on a busy machine a peer may be late.
  Owners::Verdict verdict(const std::string& name) {
    Owners::Verdict told = first_verdict(name);
    for (int i = 0; i < 20 && told.kind == Kind::kUncertain; ++i) told = first_verdict(name);
    return told;
  }
};

}  // namespace

TEST_CASE("owners: alone in its cluster a node asks nobody") {
  Scene s({});
  CHECK(s.verdict("a.log").kind == Kind::kHere);
}

TEST_CASE("owners: a path that nobody has is claimed from all, once") {
  Peer skein(kHighId, says(200)), pyme("", says(404));
  Scene s({skein.node, pyme.node});
  CHECK(s.verdict("d/a b.log").kind == Kind::kHere);
  const std::size_t asked = skein.questions().size();
  CHECK(skein.questions().back() == "PUT /__own/d/a%20b.log");
  CHECK(pyme.questions().back() == "HEAD /d/a%20b.log");
  CHECK(s.verdict("d/a b.log").kind == Kind::kHere);
  CHECK(skein.questions().size() == asked);
}

TEST_CASE("owners: one that has the file is remembered, also across a restart and when it is down") {
  Peer owner(kHighId, says(409, owned_by(kHighId)));
  {
    Scene s({owner.node});
    const auto told = s.verdict("a.log");
    CHECK(told.kind == Kind::kElsewhere);
    CHECK(told.owner.id == kHighId);
    const std::size_t asked = owner.questions().size();
    s.restart();
    CHECK(s.verdict("a.log").kind == Kind::kElsewhere);
    CHECK(owner.questions().size() == asked);
  }
  Peer another(kLowId, says(200));
  Scene s({another.node});
  CHECK_FALSE(s.owners->claimed_by(kHighId, s.path("a.log")));
  s.restart();
  const auto told = s.verdict("a.log");
  CHECK(told.kind == Kind::kDown);
  CHECK(told.why.find(kHighId) != std::string::npos);
  CHECK(s.owners->known(s.path("a.log")).kind == Kind::kDown);
  CHECK(another.questions().empty());
}

TEST_CASE("owners: a file on a server of PYME's is elsewhere") {
  Peer pyme("", says(200));
  Scene s({pyme.node});
  const auto told = s.verdict("a.log");
  CHECK(told.kind == Kind::kElsewhere);
  CHECK(told.owner.key() == pyme.node.key());
}

TEST_CASE("owners: without an answer from all nothing is made, and the next append asks again") {
  std::atomic<bool> silent = true;
  Peer peer(kHighId, [&](HttpStream& stream) { return silent ? false : reply(stream, 200); });
  Scene s({peer.node});
  const auto told = s.first_verdict("a.log");
  CHECK(told.kind == Kind::kUncertain);
  CHECK(told.why.find("nothing was appended") != std::string::npos);
  silent = false;
  CHECK(s.verdict("a.log").kind == Kind::kHere);
}

TEST_CASE("owners: of several that are named the lowest counts, as all others judge") {
  Peer one(kHighId, says(409, owned_by(kHighId))), two(kLowId, says(409, owned_by(kLowId)));
  Scene s({one.node, two.node});
  CHECK(s.verdict("a.log").owner.id == kLowId);
}

TEST_CASE("owners: a claim of another node is granted, unless the file is here or is about to be") {
  Peer peer(kHighId, says(200));
  Scene s({peer.node});
  CHECK_FALSE(s.owners->claimed_by(kHighId, s.path("theirs.log")));
  CHECK(s.verdict("theirs.log").kind == Kind::kElsewhere);
  REQUIRE(s.put("here.log", "x"));
  CHECK(s.owners->claimed_by(kHighId, s.path("here.log")) == s.store->node_id());
  REQUIRE(s.verdict("soon.log").kind == Kind::kHere);
  CHECK(s.owners->claimed_by(kLowId, s.path("soon.log")) == s.store->node_id());
  // Of two that claim the same, one after the other, the lower id wins.
  CHECK(s.owners->claimed_by(kLowId, s.path("theirs.log")) == std::nullopt);
  CHECK(s.owners->claimed_by(kHighId, s.path("theirs.log")) == kLowId);
}

TEST_CASE("owners: an owner that was learnt some time ago stays the owner, also when it is down") {
  Peer peer(kHighId, says(200));
  Scene s({peer.node});
  REQUIRE_FALSE(s.owners->claimed_by(kHighId, s.path("a.log")));
  // What is read back is no claim of this moment any more.
  s.restart();
  CHECK(s.owners->claimed_by(kLowId, s.path("a.log")) == kHighId);
  CHECK(s.owners->claimed_by(kHighId, s.path("a.log")) == std::nullopt);
}

TEST_CASE("owners: while this node asks, a claim of a lower id goes before its own") {
  ScriptedServer silent([](ScriptedServer& server, HttpStream&, const RequestHead&) {
    server.stall();
    return false;
  });
  Node peer = silent.node();
  peer.id = kHighId;
  peer.cluster = kCluster;
  Scene s({peer});
  // A question lasts a second; on a busy machine one may be over too soon.
  for (int n = 0; n < 20; ++n) {
    const ClusterPath path = s.path("a" + std::to_string(n) + ".log");
    REQUIRE(s.owners->ask(path).kind == Kind::kAsking);
    const auto to_higher = s.owners->claimed_by(kHighId, path);
    const auto to_lower = s.owners->claimed_by(kLowId, path);
    if (s.owners->ask(path).kind != Kind::kAsking) continue;
    CHECK(to_higher == s.store->node_id());
    CHECK(to_lower == std::nullopt);
    return;
  }
  FAIL("every question was over too soon");
}

TEST_CASE("owners: damaged notes cost what was damaged in them") {
  Scene s({});
  REQUIRE_FALSE(s.owners->claimed_by(kHighId, s.path("a.log")));
  s.owners.reset();
  std::ofstream(s.on_disk(".skein/owners"), std::ios::app) << "noise\n\n x\n" << kLowId << " cut";
  s.restart();
  CHECK(s.owners->known(s.path("a.log")).kind == Kind::kDown);
  CHECK(s.owners->known(s.path("cut")).kind == Kind::kHere);
}
