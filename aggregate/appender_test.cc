#include "aggregate/appender.h"

#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "client/scripted_server.h"
#include "core/clock.h"

using namespace skein;
using namespace std::chrono_literals;

namespace {

// A node as far as appends see one: what stands at the one path, and how a PUT is answered.
class Owner {
 public:
  using Answer = std::function<bool(HttpStream& stream)>;

  explicit Owner(std::string id)
      : server_([this](ScriptedServer&, HttpStream& stream, const RequestHead& head) {
          return answer(stream, head);
        }) {
    node = server_.node();
    node.id = std::move(id);
  }

  struct Request {
    std::string target;
    std::string id;
    std::string body;
  };
  std::vector<Request> puts() {
    const std::lock_guard lock(mutex_);
    return puts_;
  }
  // The next PUTs are answered so, in turn; later ones by `usual`.
  void answers(std::vector<Answer> next) {
    const std::lock_guard lock(mutex_);
    next_ = std::move(next);
  }

  Node node;
  std::atomic<bool> has = false;  // before the first append
  Answer usual = [](HttpStream& stream) { return reply(stream, 200, "Skein-Offset: 7\r\n"); };

 private:
  bool answer(HttpStream& stream, const RequestHead& head) {
    if (head.method() == "HEAD") {
      return has ? reply(stream, 200) : send_text(stream, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    }
    std::string body = receive_body(stream, head);
    Answer next = usual;
    {
      const std::lock_guard lock(mutex_);
      puts_.push_back({std::string(head.target()),
                       std::string(head.find("Skein-Request-Id").value_or("")), std::move(body)});
      if (!next_.empty()) {
        next = next_.front();
        next_.erase(next_.begin());
      }
    }
    return next(stream);
  }

  std::mutex mutex_;  // guards everything below
  std::vector<Request> puts_;
  std::vector<Answer> next_;

  ScriptedServer server_;  // last: ends before the members it uses
};

Owner::Answer says(int status, const std::string& fields = {}, const std::string& text = {}) {
  return [=](HttpStream& stream) { return reply(stream, status, fields, text); };
}

// The connection ends after the body, without a word.
bool hangs_up(HttpStream&) { return false; }

struct Scene {
  explicit Scene(NodeList nodes) : membership(std::move(nodes)) {}

  Result<Appender::Receipt> append(const std::string& text) {
    return appender.append(path_of("_aggregate/a.log"), text);
  }

  NodeClient client{10s};
  Placement placement{real_clock()};
  FixedMembership membership;
  Appender appender{client, placement, membership};
};

}  // namespace

TEST_CASE("appender: the node that has the file gets all appends, whichever was written to last") {
  Owner one("id-1"), two("id-2");
  two.has = true;
  Scene s({one.node, two.node});
  for (int n = 0; n < 3; ++n) {
    const auto done = s.append("line\n");
    REQUIRE(done);
    CHECK(done->node.id == "id-2");
    CHECK(done->offset == 7);
  }
  CHECK(one.puts().empty());
  REQUIRE(two.puts().size() == 3);
  CHECK(two.puts()[0].target == "/_aggregate/a.log");
  CHECK(two.puts()[0].body == "line\n");
  CHECK(two.puts()[0].id != two.puts()[1].id);
}

TEST_CASE("appender: a new file stays where its first append went") {
  Owner one("id-1"), two("id-2");
  Scene s({one.node, two.node});
  for (int n = 0; n < 4; ++n) REQUIRE(s.append("line\n"));
  CHECK(one.puts().size() + two.puts().size() == 4);
  CHECK((one.puts().empty() || two.puts().empty()));
}

TEST_CASE("appender: where the file has moved to is followed, and remembered") {
  Owner one("id-1"), two("id-2");
  one.has = true;
  one.usual = says(307, "Skein-Owner: id-2\r\nLocation: http://elsewhere/\r\n");
  Scene s({one.node, two.node});
  CHECK(s.append("1\n")->node.id == "id-2");
  CHECK(s.append("2\n")->node.id == "id-2");
  CHECK(one.puts().size() == 1);
  CHECK(two.puts().size() == 2);
}

TEST_CASE("appender: nodes that send each other the file end in an error") {
  Owner one("id-1"), two("id-2");
  one.has = true;
  one.usual = says(307, "Skein-Owner: id-2\r\n");
  two.usual = says(307, "Skein-Owner: id-1\r\n");
  Scene s({one.node, two.node});
  CHECK(s.append("x").error().code == std::errc::host_unreachable);
  CHECK(one.puts().size() + two.puts().size() < 10);
}

TEST_CASE("appender: a broken connection is tried again with the same id, where ids are known") {
  Owner owner("id-1");
  owner.has = true;
  owner.answers({hangs_up, hangs_up});
  Scene s({owner.node});
  REQUIRE(s.append("once\n"));
  const auto puts = owner.puts();
  REQUIRE(puts.size() == 3);
  CHECK(puts[0].id == puts[2].id);
  CHECK(puts[2].body == "once\n");
}

TEST_CASE("appender: a broken connection to PYME's server is unclear, and nothing is sent twice") {
  Owner pyme("");
  pyme.has = true;
  pyme.answers({says(200), hangs_up});
  Scene s({pyme.node});
  REQUIRE(s.append("1\n"));
  const auto unclear = s.append("2\n");
  CHECK(unclear.error().code == std::errc::not_connected);
  CHECK(unclear.error().what.find("unknown") != std::string::npos);
  REQUIRE(pyme.puts().size() == 2);
  CHECK(pyme.puts()[0].target == "/__aggregate_txt/_aggregate/a.log");
}

TEST_CASE("appender: tries end, and what may have been done is said") {
  Owner owner("id-1");
  owner.has = true;
  owner.usual = hangs_up;
  Scene s({owner.node});
  CHECK(s.append("x").error().code == std::errc::not_connected);
  CHECK(owner.puts().size() < 10);
  CHECK(s.membership.reported.front() == "id-1");
}

TEST_CASE("appender: an owner that is gone is an error, and no file is begun elsewhere") {
  Owner other("id-2");
  {
    auto owner = std::make_unique<Owner>("id-1");
    owner->has = true;
    Scene s({owner->node, other.node});
    REQUIRE(s.append("x"));
    owner.reset();
    CHECK(s.append("x").error().code == std::errc::host_unreachable);
  }
  // Who knows no owner asks all, and begins nothing while one is silent.
  Node gone = dead_node();
  gone.id = "id-1";
  Scene s({gone, other.node});
  CHECK(s.append("x").error().code == std::errc::host_unreachable);
  CHECK(other.puts().empty());
}

TEST_CASE("appender: nothing is begun while a node that was named is set aside") {
  struct OneSetAside : FixedMembership {
    using FixedMembership::FixedMembership;
    std::vector<NodeState> states() const override {
      return {{dead_node(), NodeState::Kind::kSetAside, sources, "no answer"}};
    }
    std::string sources = "static";
  };
  Owner other("id-2");
  NodeClient client{10s};
  Placement placement{real_clock()};
  OneSetAside membership({other.node});
  Appender appender(client, placement, membership);
  const auto path = path_of("_aggregate/a.log");
  CHECK(appender.append(path, {}).error().code == std::errc::host_unreachable);
  CHECK(other.puts().empty());
  // Of one that announced itself the other servers know what it owns.
  membership.sources = "mdns";
  CHECK(appender.append(path, {}));
  // What is known to be elsewhere is appended to whoever is down.
  membership.sources = "static+mdns";
  CHECK(appender.append(path, {}));
}

TEST_CASE("appender: refusals are what a caller can act on") {
  Owner owner("id-1");
  owner.has = true;
  Scene s({owner.node});
  for (const auto& [status, code] :
       {std::pair(409, std::errc::operation_not_permitted), {415, std::errc::invalid_argument},
        {413, std::errc::file_too_large}, {507, std::errc::no_space_on_device},
        {503, std::errc::host_unreachable}, {500, std::errc::io_error}}) {
    owner.answers({says(status, {}, "a sentence\n")});
    const auto refused = s.append("x");
    CHECK(refused.error().code == code);
    CHECK(refused.error().what == "append /_aggregate/a.log: a sentence");
  }
}

TEST_CASE("appender: a seal goes to the owner, and makes no file") {
  Owner owner("id-1");
  Scene s({owner.node});
  CHECK(s.appender.seal(path_of("_aggregate/a.log")).error().code ==
        std::errc::no_such_file_or_directory);
  CHECK(owner.puts().empty());
  owner.has = true;
  CHECK(s.appender.seal(path_of("_aggregate/a.log"))->id == "id-1");
  REQUIRE(owner.puts().size() == 1);
  CHECK(owner.puts()[0].target == "/__seal/_aggregate/a.log");
  CHECK(owner.puts()[0].id.empty());
}
