#include "dataserver/directory_index.h"

#include <sys/stat.h>

#include <random>
#include <thread>

#include "core/listing.h"
#include "dataserver/scratch_store.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

Listing list(DirectoryIndex& index, const std::string& name) {
  const auto view = index.listing(ScratchStore::path(name));
  REQUIRE(view);
  auto parsed = parse_listing_json(*view->json);
  REQUIRE(parsed);
  return *parsed;
}

std::string etag(DirectoryIndex& index, const std::string& name) {
  const auto view = index.listing(ScratchStore::path(name));
  REQUIRE(view);
  return view->etag;
}

const IsTorn none_torn = [](int, const ClusterPath&, const char*, const Found&) { return false; };

void seal_by_hand(const ScratchStore& s, const std::string& name) {
  REQUIRE(::chmod(s.on_disk(name).c_str(), 0440) == 0);
}

TEST_CASE("index: types, sizes and flags are those of the wire") {
  ScratchStore s;
  REQUIRE(s.put("series/metadata.json", "{}"));
  REQUIRE(s.put("series/frame00000.pzf", "abc"));
  REQUIRE(s.put("done/metadata.json", "{}"));
  REQUIRE(s.put("done/events.json", "[]"));
  REQUIRE(s.put("stack.h5", "12345"));
  REQUIRE(s.put(".dot", "1"));
  REQUIRE(s.store->make_directory(s.path("empty")));
  CHECK(list(s.store->index(), "") ==
        Listing({{"series", {3, 2}}, {"done", {7, 2}}, {"stack.h5", {6, 5}}, {".dot", {0, 1}},
                 {"empty", {1, 0}}}));
  CHECK(*s.store->index().listing(s.path("empty"))->json == "{}");
}

TEST_CASE("index: files that grow by appends have no size, except where all may grow") {
  ScratchStore s;
  for (const char* name : {"_aggregate/log.txt", "log.txt"}) {
    REQUIRE(s.put(name, "123"));
    REQUIRE(::chmod(s.on_disk(name).c_str(), kGrowingMode) == 0);
  }
  s.write_by_hand("copied.txt", "1234");
  CHECK(list(s.store->index(), "_aggregate") == Listing({{"log.txt", {0, 3}}}));
  CHECK(list(s.store->index(), "") ==
        Listing({{"_aggregate", {1, 1}}, {"log.txt", {0, -1}}, {"copied.txt", {0, 4}}}));
  seal_by_hand(s, "log.txt");
  s.store->index().changed(s.path("log.txt"));
  CHECK(list(s.store->index(), "").find("log.txt")->size == 3);
}

TEST_CASE("index: private names, fifos and symlinks that lead out are not listed") {
  ScratchStore s;
  ScratchFolder outside;
  REQUIRE(s.put("f", "x"));
  REQUIRE(::mkfifo(s.on_disk("fifo").c_str(), 0600) == 0);
  std::filesystem::create_symlink(outside.path(), s.on_disk("out"));
  std::filesystem::create_symlink("f", s.on_disk("alias"));
  std::filesystem::create_symlink("nowhere", s.on_disk("dangling"));
  CHECK(list(s.store->index(), "") == Listing({{"f", {0, 1}}, {"alias", {0, 1}}}));
}

TEST_CASE("index: an unchanged directory keeps its text and its ETag, a changed one neither") {
  ScratchStore s;
  REQUIRE(s.put("d/a", "1"));
  DirectoryIndex& index = s.store->index();
  const auto first = index.listing(s.path("d"));
  const auto again = index.listing(s.path("d"));
  CHECK(first->json == again->json);
  CHECK(first->etag == again->etag);
  REQUIRE(s.put("d/b", "22"));
  CHECK(etag(index, "d") != first->etag);
  CHECK(list(index, "d") == Listing({{"a", {0, 1}}, {"b", {0, 2}}}));
}

TEST_CASE("index: names put in and taken out by hand are seen at once") {
  ScratchStore s;
  REQUIRE(s.put("d/a", "1"));
  DirectoryIndex& index = s.store->index();
  CHECK(list(index, "d").size() == 1);
  s.write_by_hand("d/hand", "123");
  CHECK(list(index, "d") == Listing({{"a", {0, 1}}, {"hand", {0, 3}}}));
  std::filesystem::remove(s.on_disk("d/a"));
  CHECK(list(index, "d") == Listing({{"hand", {0, 3}}}));
}

TEST_CASE("index: what is believed for a time is looked at again after it") {
  ScratchStore s;
  ManualClock time;
  DirectoryIndex index(s.store->root(), 1000, none_torn, time.clock());
  REQUIRE(s.put("sub/a", "1"));
  s.write_by_hand("growing", "1");
  CHECK(list(index, "") == Listing({{"sub", {1, 1}}, {"growing", {0, 1}}}));
  const std::string before = etag(index, "");
  REQUIRE(s.put("sub/b", "1"));
  s.write_by_hand("growing", "12345");
  // Neither changes the root's own mtime.
  CHECK(etag(index, "") == before);
  time.advance(DirectoryIndex::kPartsTrust + 1ms);
  CHECK(list(index, "") == Listing({{"sub", {1, 2}}, {"growing", {0, 5}}}));
}

TEST_CASE("index: an old file that somebody writes to again is noticed after its trust time") {
  ScratchStore s;
  ManualClock time;
  DirectoryIndex index(s.store->root(), 1000, none_torn, time.clock());
  s.write_by_hand("old", "1");
  const timespec hour_ago[2] = {{::time(nullptr) - 3600, 0}, {::time(nullptr) - 3600, 0}};
  REQUIRE(::utimensat(AT_FDCWD, s.on_disk("old").c_str(), hour_ago, 0) == 0);
  CHECK(list(index, "") == Listing({{"old", {0, 1}}}));
  s.write_by_hand("old", "123");
  time.advance(DirectoryIndex::kWritableTrust + 1ms);
  CHECK(list(index, "") == Listing({{"old", {0, 3}}}));
}

TEST_CASE("index: a torn file that was mended by hand is found within its trust time") {
  ScratchStore s;
  ManualClock time;
  bool torn = true;
  DirectoryIndex index(
      s.store->root(), 1000,
      [&](int, const ClusterPath&, const char* name, const Found&) {
        return torn && name == std::string("cut");
      },
      time.clock());
  for (const char* name : {"d/cut", "d/whole"}) REQUIRE(s.put(name, "abc"));
  const timespec hour_ago[2] = {{::time(nullptr) - 3600, 0}, {::time(nullptr) - 3600, 0}};
  REQUIRE(::utimensat(AT_FDCWD, s.on_disk("d").c_str(), hour_ago, 0) == 0);
  CHECK(list(index, "d") == Listing({{"whole", {0, 3}}}));
  torn = false;  // the directory's own time tells nothing of it
  time.advance(DirectoryIndex::kPatchedTrust + 1ms);
  CHECK(list(index, "d") == Listing({{"cut", {0, 3}}, {"whole", {0, 3}}}));
}

TEST_CASE("index: a name put in by hand in the moment of a publish is found within its trust time") {
  ScratchStore s;
  ManualClock time;
  DirectoryIndex index(s.store->root(), 1000, none_torn, time.clock());
  REQUIRE(s.put("d/a", "1"));
  CHECK(list(index, "d").size() == 1);
  const auto began = DirectoryIndex::now();
  s.write_by_hand("d/hand", "1");
  seal_by_hand(s, "d/hand");
  s.write_by_hand("d/b", "1");
  seal_by_hand(s, "d/b");
  const Fd directory(::open(s.on_disk("d").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  index.added(s.path("d/b"), 1, directory.get(), began);
  time.advance(DirectoryIndex::kPatchedTrust + 1ms);
  CHECK(list(index, "d").size() == 3);
}

TEST_CASE("index: a publish that the scan has seen already is not listed twice") {
  ScratchStore s;
  DirectoryIndex index(s.store->root(), 1000, none_torn);
  const auto began = DirectoryIndex::now();
  s.write_by_hand("d/a", "1");
  seal_by_hand(s, "d/a");
  CHECK(list(index, "d").size() == 1);
  const Fd directory(::open(s.on_disk("d").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  index.added(s.path("d/a"), 1, directory.get(), began);
  const std::string json = *index.listing(s.path("d"))->json;
  CHECK(json == "{\"a\":[0,1]}");
}

TEST_CASE("index: the bound on cached names is kept, the least recently used go") {
  ScratchStore s;
  DirectoryIndex index(s.store->root(), 25, none_torn);
  for (int d = 0; d < 5; ++d) {
    for (int f = 0; f < 10; ++f) {
      REQUIRE(s.put("d" + std::to_string(d) + "/" + std::to_string(f), "x"));
    }
    CHECK(list(index, "d" + std::to_string(d)).size() == 10);
    CHECK(index.cached_entries() <= 25);
  }
  const std::string kept = etag(index, "d4");
  const std::string dropped = etag(index, "d0");
  CHECK(etag(index, "d4") == kept);
  // Scanned anew it may hold other names: an ETag that was given before must not come back.
  CHECK(list(index, "d1").size() == 10);
  CHECK(list(index, "d2").size() == 10);
  CHECK(etag(index, "d0") != dropped);
}

TEST_CASE("index: missing directories and files are errors, and take no place") {
  ScratchStore s;
  REQUIRE(s.put("f", "x"));
  CHECK(s.store->index().listing(s.path("missing")).error().code ==
        std::errc::no_such_file_or_directory);
  CHECK(s.store->index().listing(s.path("f")).error().code == std::errc::not_a_directory);
  CHECK(s.store->index().cached_entries() == 0);
}

TEST_CASE("index: listings taken while four writers publish hold all that was acknowledged, once") {
  ScratchStore s;
  REQUIRE(s.store->make_directory(s.path("d")));
  constexpr int kEach = 400;
  std::atomic<int> acknowledged[4] = {};
  std::vector<std::jthread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kEach; ++i) {
        if (!s.put("d/" + std::to_string(w) + "-" + std::to_string(i), "x")) return;
        acknowledged[w] = i + 1;
      }
    });
  }
  const auto total = [&] {
    int sum = 0;
    for (const auto& one : acknowledged) sum += one;
    return sum;
  };
  const Deadline deadline = Deadline::after(60s);
  while (total() < 4 * kEach && !deadline.passed()) {
    int known[4];
    for (int w = 0; w < 4; ++w) known[w] = acknowledged[w];
    const Listing listing = list(s.store->index(), "d");
    const std::string json = *s.store->index().listing(s.path("d"))->json;
    for (int w = 0; w < 4; ++w) {
      for (int i = 0; i < known[w]; ++i) {
        REQUIRE(listing.find(std::to_string(w) + "-" + std::to_string(i)) != nullptr);
      }
    }
  }
  writers.clear();
  const std::string json = *s.store->index().listing(s.path("d"))->json;
  CHECK(std::count(json.begin(), json.end(), '[') == 4 * kEach);
  CHECK(list(s.store->index(), "d").size() == 4 * kEach);
}

TEST_CASE("index: a file that a scan saw before it was told of is listed once, also in a refresh") {
  ScratchStore s;
  DirectoryIndex index(s.store->root(), 1'000'000, none_torn);
  for (int i = 0; i < 500; ++i) {
    std::filesystem::create_directories(s.on_disk("d/sub" + std::to_string(i)));
  }
  const Fd directory(::open(s.on_disk("d").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Fd below(::open(s.on_disk("d/sub0").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(directory);
  REQUIRE(below);
  for (unsigned round = 0; round < 40; ++round) {
    const std::string name = "d/f" + std::to_string(round);
    const auto began = DirectoryIndex::now();
    s.write_by_hand(name, "1");
    seal_by_hand(s, name);
    // Older kernels do not show at once what happens within one tick of their clock.
    const Deadline seen = Deadline::after(20s);
    while (list(index, "d").size() != 501u + round) REQUIRE_FALSE(seen.passed());
    std::jthread refresher([&](std::stop_token stop) {
      while (!stop.stop_requested()) {
        index.added(s.path("d/sub0/x"), 1, below.get(), DirectoryIndex::now());
        CHECK(index.listing(s.path("d")));
      }
    });
    for (int i = 0; i < 100; ++i) index.added(s.path(name), 1, directory.get(), began);
    refresher.request_stop();
    refresher.join();
    const std::string json = *index.listing(s.path("d"))->json;
    const std::string member = "\"f" + std::to_string(round) + "\":";
    const std::size_t first = json.find(member);
    REQUIRE(first != json.npos);
    REQUIRE(json.find(member, first + 1) == json.npos);
  }
}

}  // namespace
}  // namespace skein
