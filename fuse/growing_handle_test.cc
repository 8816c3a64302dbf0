#include "fuse/growing_handle.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "client/placement.h"
#include "client/scripted_server.h"
#include "core/clock.h"

using namespace skein;
using namespace std::chrono_literals;

namespace {

ClusterPath log_path() { return path_of("_aggregate/a.log"); }

// One mount's view of a node that has the file in memory.
struct Scene {
  MemoryNode owner{{.ranges = true, .etags = true, .id = "id-1"}};
  NodeClient client{10s};
  Placement placement{real_clock()};
  FixedMembership membership{{owner.node()}};
  Downloader finder{client, membership};
  Appender appender{client, placement, membership};

  explicit Scene(const std::string& text) { set(text); }
  void set(const std::string& text) {
    owner.remove(log_path().text());
    owner.add(log_path().text(), text);
  }
  GrowingHandle open(bool writes = false) {
    return GrowingHandle({appender, finder, client}, log_path(), writes);
  }
};

std::string text_of(const Result<Slices>& read) {
  REQUIRE(read);
  std::string text;
  for (const Slice& slice : *read) text.append(slice.begin, slice.size);
  return text;
}

}  // namespace

TEST_CASE("growing handle: each read sees the file as it is by then") {
  Scene s("one\n");
  GrowingHandle handle = s.open();
  REQUIRE(handle.find());
  CHECK(text_of(handle.read(0, 100)) == "one\n");
  CHECK(text_of(handle.read(4, 100)).empty());
  CHECK(text_of(handle.read(1000, 100)).empty());
  s.set("one\ntwo\n");
  CHECK(text_of(handle.read(4, 100)) == "two\n");
  CHECK(text_of(handle.read(2, 4)) == "e\ntw");
}

TEST_CASE("growing handle: what is not there is not found") {
  Scene s("x");
  s.owner.remove(log_path().text());
  CHECK(s.open().find().error().code == std::errc::no_such_file_or_directory);
  CHECK_FALSE(s.open().read(0, 10));
}

TEST_CASE("growing handle: a read is tried once more, where the file is by then") {
  Scene s("one\n");
  GrowingHandle handle = s.open();
  REQUIRE(handle.find());
  std::atomic<int> broken = 1;
  s.owner.interrupt([&](ScriptedServer&, HttpStream& stream, const RequestHead& head)
                        -> std::optional<bool> {
    if (head.method() != "GET" || broken-- <= 0) return std::nullopt;
    return reply(stream, 500);
  });
  CHECK(text_of(handle.read(0, 100)) == "one\n");
  broken = 100;
  CHECK_FALSE(handle.read(0, 100));
}

TEST_CASE("growing handle: only one opened for writing appends") {
  Scene s("one\n");
  std::string body;
  s.owner.interrupt([&](ScriptedServer&, HttpStream& stream, const RequestHead& head)
                        -> std::optional<bool> {
    if (head.method() != "PUT") return std::nullopt;
    body = receive_body(stream, head);
    return reply(stream, 200, "Skein-Offset: 4\r\n");
  });
  const std::string two = "two\n";
  CHECK(s.open(false).append(two).error().code == std::errc::bad_file_descriptor);
  CHECK(body.empty());
  CHECK(*s.open(true).append(two) == 8);
  CHECK(body == two);
}

TEST_CASE("growing handle: below _aggregate text may be appended to, and only that") {
  const ClusterPath log = log_path();
  CHECK(may_append(log, O_WRONLY | O_APPEND));
  CHECK(may_append(log, O_RDWR | O_APPEND));
  CHECK(may_append(log, O_WRONLY).error().code == std::errc::operation_not_permitted);
  CHECK(may_append(log, O_WRONLY | O_APPEND | O_TRUNC).error().code ==
        std::errc::operation_not_permitted);
  CHECK(may_append(path_of("plain/a.log"), O_WRONLY | O_APPEND).error().code ==
        std::errc::operation_not_permitted);
  for (const char* name : {"_aggregate/a.bin", "_aggregate/a.h5r", "_aggregate/a.h5"}) {
    CHECK(may_append(path_of(name), O_WRONLY | O_APPEND).error().code ==
          std::errc::operation_not_supported);
  }
}
