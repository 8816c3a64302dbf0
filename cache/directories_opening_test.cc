// Directories whose first listing takes long.
#include <doctest/doctest.h>

#include <future>

#include "cache/background_threads.h"
#include "cache/directories_scene.h"
#include "client/slow_listing.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

constexpr int kNames = 20'000;
constexpr auto kLong = SlowListing::kLongest;

struct SlowScene : Scene {
  SlowListing slow{kNames};
  SlowScene() { membership.tell({slow.node()}); }

  std::shared_ptr<const Directories::Opening> open() {
    auto opening = directories->open(kRootInode);
    REQUIRE(opening);
    REQUIRE(*opening != nullptr);
    return *opening;
  }
  // Those that follow `names`, a page of them.
  Directories::Names more(const std::shared_ptr<const Directories::Opening>& opening,
                          const std::vector<std::string>& names) {
    auto page = directories->names(kRootInode, opening, names.empty() ? "" : names.back(), 1000);
    REQUIRE(page);
    return std::move(*page);
  }
  void read(const std::shared_ptr<const Directories::Opening>& opening,
            std::vector<std::string>& names, std::size_t at_least) {
    for (bool left = true; left && names.size() < at_least;) {
      const Directories::Names page = more(opening, names);
      left = page.more;
      for (const NamedTreeEntry& name : page.names) names.push_back(name.name);
    }
  }
};

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (int i = 0; i < kNames; ++i) names.push_back(SlowListing::name(i));
  return names;
}

TEST_CASE("directories: a first listing shows its names as they come, each once and in order") {
  SlowScene s;
  const auto opening = s.open();
  std::vector<std::string> names;
  s.read(opening, names, 5000);
  CHECK(names.size() >= 5000);
  CHECK(s.directories->version_of(*opening) == 0);
  s.slow.go_on();
  s.read(opening, names, kNames + 1);
  CHECK(names == all_names());
  CHECK(s.directories->version_of(*opening) == s.tree->share_heads(kRootInode)->version);
  CHECK(s.missing().empty());
  CHECK((*s.tree->shares(kRootInode)).front().listing.size() == kNames);
}

TEST_CASE("directories: one name of a directory that is being listed is asked for by itself") {
  SlowScene s;
  const auto opening = s.open();
  CHECK(s.directories->lookup(kRootInode, SlowListing::name(7))->entry.size == 7);
  CHECK(s.directories->lookup(kRootInode, SlowListing::name(kNames - 1))->entry.size == kNames - 1);
  CHECK(s.failure("not there") == std::errc::no_such_file_or_directory);
  CHECK(s.failure("zzz") == std::errc::no_such_file_or_directory);
  s.slow.go_on();
  std::vector<std::string> names;
  s.read(opening, names, kNames + 1);
  CHECK(names == all_names());
}

TEST_CASE("directories: an own new name behind those listed so far is shown in its turn, once") {
  SlowScene s;
  const auto opening = s.open();
  REQUIRE(s.directories->note_created(kRootInode, "zzz", {0, 1}));
  REQUIRE(s.directories->note_created(kRootInode, SlowListing::name(kNames - 1), {0, kNames - 1}));
  std::vector<std::string> names;
  s.read(opening, names, 2000);
  CHECK(names.back() < SlowListing::name(kNames / 2));
  CHECK(s.has("zzz"));
  // Written long after the nodes were asked, and so not missing from what they list.
  s.pass(60s);
  s.slow.go_on();
  s.read(opening, names, kNames + 2);
  auto expected = all_names();
  expected.push_back("zzz");
  CHECK(names == expected);
}

TEST_CASE("directories: who reads names gets an error when the listing breaks off") {
  SlowScene s;
  const auto opening = s.open();
  std::vector<std::string> names;
  s.read(opening, names, 2000);
  s.slow.cut_off();
  std::optional<Error> failure;
  while (!failure && names.size() < kNames) {
    auto page = s.directories->names(kRootInode, opening, names.back(), 1000);
    if (!page) {
      failure = page.error();
    } else {
      for (const NamedTreeEntry& name : page->names) names.push_back(name.name);
      REQUIRE(page->more);
    }
  }
  REQUIRE(failure);
  CHECK(failure->code == std::errc::host_unreachable);
  CHECK(s.directories->version_of(*opening) == 0);
}

TEST_CASE("directories: a node that breaks off is missing from what the others list") {
  SlowScene s;
  SlowListing whole(4000);
  s.membership.tell({s.slow.node(), whole.node()});
  const auto opening = s.open();
  whole.go_on();
  s.slow.cut_off();
  std::vector<std::string> names;
  s.read(opening, names, kNames);
  CHECK(s.directories->version_of(*opening) == 0);
  CHECK(s.missing() == s.slow.node().key() + " ");
}

TEST_CASE("directories: the end does not wait for a listing under way") {
  SlowScene s;
  const auto opening = s.open();
  auto ended = std::async(std::launch::async, [&] { s.directories.reset(); });
  REQUIRE(ended.wait_for(kLong / 2) == std::future_status::ready);
}

TEST_CASE("background threads: so many and no more, and ended ones make room") {
  BackgroundThreads threads(2);
  std::counting_semaphore<> go_on{0};
  std::atomic<int> ended = 0;
  const auto work = [&](const std::stop_token& stop) {
    (void)go_on.try_acquire_for(kLong);
    ended += stop.stop_requested() ? 0 : 1;
  };
  REQUIRE(threads.start(work));
  REQUIRE(threads.start(work));
  CHECK_FALSE(threads.start(work));
  go_on.release();
  bool started = false;
  for (const Deadline deadline = Deadline::after(kLong); !started && !deadline.passed();) {
    started = threads.start(work);
  }
  CHECK(started);
  CHECK(ended == 1);
  go_on.release(2);
}

TEST_CASE("background threads: the end asks them to stop and waits for them") {
  std::atomic<bool> stopped = false;
  {
    BackgroundThreads threads(1);
    REQUIRE(threads.start([&](const std::stop_token& stop) {
      const Deadline deadline = Deadline::after(kLong);
      while (!stop.stop_requested() && !deadline.passed()) std::this_thread::yield();
      stopped = stop.stop_requested();
    }));
  }
  CHECK(stopped);
}

}  // namespace
}  // namespace skein
