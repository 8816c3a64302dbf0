// What happens to the tree's file behind its back: killed processes, deleted, cut, scrawled over,
// a full disk, another process that stands still.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <map>
#include <random>

#include "cache/lock_file.h"
#include "cache/tree.h"
#include "core/clock.h"
#include "core/fd.h"
#include "core/scratch_folder.h"

namespace skein {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

Result<std::unique_ptr<Tree>> open_in(const fs::path& folder, std::uint64_t max_bytes = 1 << 30) {
  Tree::Options options;
  options.folder = folder;
  options.cluster = "c";
  options.max_bytes = max_bytes;
  return Tree::open(options);
}

std::unique_ptr<Tree> must_open(const fs::path& folder) {
  auto opened = open_in(folder);
  REQUIRE_MESSAGE(opened.ok(), (opened ? "" : opened.error().what));
  return std::move(*opened);
}

Listing frames(int count, int first = 0) {
  std::vector<NamedEntry> entries;
  for (int i = first; i < first + count; ++i) {
    entries.push_back({"frame" + std::to_string(i), {0, i}});
  }
  return Listing(std::move(entries));
}

fs::path data_of(const fs::path& folder) { return folder / "c" / "tree.mdb"; }

// Runs `work` in a process of its own. Ready once it wrote a byte to the pipe given to it.
struct Child {
  pid_t pid = -1;
  Fd news;

  explicit Child(const std::function<void(int tell)>& work) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    news = Fd(ends[0]);
    Fd tell(ends[1]);
    pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      work(tell.get());
      _exit(0);
    }
  }
  ~Child() {
    if (pid > 0) end(SIGKILL);
  }
  bool wait_ready() {
    pollfd p{news.get(), POLLIN, 0};
    char c = 0;
    return ::poll(&p, 1, 10'000) == 1 && ::read(news.get(), &c, 1) == 1;
  }
  int end(int signal) {
    if (signal != 0) ::kill(pid, signal);
    int status = 0;
    ::waitpid(std::exchange(pid, -1), &status, 0);
    return status;
  }
};

// Names and places must agree, numbers be unique, listings and shares be whole.
void check_sound(Tree& tree, Inode directory, std::map<Inode, std::string>& seen) {
  auto names = tree.names(directory, "", 1'000'000);
  REQUIRE(names);
  for (const NamedTreeEntry& name : *names) {
    REQUIRE_MESSAGE(seen.emplace(name.entry.inode, name.name).second, "one inode, two names");
    const auto place = tree.place(name.entry.inode);
    REQUIRE(place);
    REQUIRE(place->parent == directory);
    REQUIRE(place->name == name.name);
    if (name.entry.entry.is_directory()) check_sound(tree, name.entry.inode, seen);
  }
  auto shares = tree.shares(directory);
  REQUIRE(shares);
  if (shares->empty()) return;
  std::vector<const Listing*> listings;
  for (const StoredShare& share : *shares) listings.push_back(&share.listing);
  REQUIRE(merge(listings).size() == names->size());
}

// Stores and removes for ever; a directory's two shares always make up its names.
void write_for_ever(const fs::path& folder, unsigned seed, int tell) {
  auto tree = open_in(folder);
  if (!tree) _exit(1);
  std::mt19937 random(seed);
  for (;;) {
    const std::string name = "d" + std::to_string(random() % 5);
    if (random() % 10 == 0) {
      if (!(*tree)->remove(kRootInode, name)) _exit(2);
      continue;
    }
    const auto directory = (*tree)->put(kRootInode, name, {Entry::kDirectory, 0});
    if (!directory) _exit(3);
    const Listing one = frames(static_cast<int>(random() % 600));
    const Listing two = frames(static_cast<int>(random() % 300), 400);
    const Listing* both[] = {&one, &two};
    const std::vector<StoredShare> shares{{"1", "e", one}, {"2", "e", two}};
    if (!(*tree)->store_listing(directory->inode, merge(both), shares)) _exit(4);
    if (::write(tell, "r", 1) != 1) _exit(5);
  }
}

TEST_CASE("tree: 50 writers killed at random moments leave a sound tree, and none is thrown away") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  ScratchFolder scratch;
  Inode highest = 0;
  for (int round = 0; round < 50; ++round) {
    CAPTURE(round);
    Child writer([&](int tell) { write_for_ever(scratch.path(), seed + round, tell); });
    REQUIRE(writer.wait_ready());
    // A random number of changes, and then some part of the next one.
    for (unsigned n = random() % 30; n > 0; --n) REQUIRE(writer.wait_ready());
    volatile unsigned spin = random() % 500'000;
    while (spin > 0) spin = spin - 1;
    REQUIRE(WIFSIGNALED(writer.end(SIGKILL)));
    auto tree = must_open(scratch.path());
    std::map<Inode, std::string> seen;
    check_sound(*tree, kRootInode, seen);
    REQUIRE_FALSE(fs::exists(data_of(scratch.path()).string() + ".damaged"));
    const auto fresh = tree->put(kRootInode, "probe" + std::to_string(round), {0, 1});
    REQUIRE(fresh);
    REQUIRE(fresh->inode > highest);
    if (!seen.empty()) REQUIRE(fresh->inode > seen.rbegin()->first);
    highest = fresh->inode;
  }
}

TEST_CASE("tree: three processes write at once, each sees the others' names, no number twice") {
  ScratchFolder scratch;
  auto tree = must_open(scratch.path());
  constexpr int kNames = 300;
  const auto write_some = [&](const std::string& who) {
    return [&scratch, who](int tell) {
      auto own = open_in(scratch.path());
      if (!own) _exit(1);
      for (int i = 0; i < kNames; ++i) {
        if (!(*own)->put(kRootInode, who + std::to_string(i), {0, i})) _exit(2);
      }
      if (::write(tell, "r", 1) != 1) _exit(3);
    };
  };
  Child a(write_some("a")), b(write_some("b"));
  for (int i = 0; i < kNames; ++i) {
    REQUIRE(tree->put(kRootInode, "c" + std::to_string(i), {0, i}));
  }
  REQUIRE(a.wait_ready());
  REQUIRE(b.wait_ready());
  REQUIRE(a.end(0) == 0);
  REQUIRE(b.end(0) == 0);
  std::map<Inode, std::string> seen;
  check_sound(*tree, kRootInode, seen);
  CHECK(seen.size() == 3 * kNames);
}

TEST_CASE("tree: another process that stops in the middle of a change costs 2 s, not for ever") {
  ScratchFolder scratch;
  auto tree = must_open(scratch.path());
  REQUIRE(tree->put(kRootInode, "known", {0, 1}));
  Child stopped([&](int tell) {
    auto lock = LockFile::open(scratch.path() / "c" / "lock");
    if (!lock || !(*lock)->lock_writer(Deadline::after(5s))) _exit(1);
    if (::write(tell, "r", 1) != 1) _exit(2);
    ::raise(SIGSTOP);
  });
  REQUIRE(stopped.wait_ready());
  const auto begun = std::chrono::steady_clock::now();
  CHECK(tree->put(kRootInode, "new", {0, 1}).error().code == std::errc::timed_out);
  CHECK(std::chrono::steady_clock::now() - begun < 4s);
  CHECK(tree->lookup(kRootInode, "known"));
  stopped.end(SIGKILL);
  CHECK(tree->put(kRootInode, "new", {0, 1}));
}

TEST_CASE("tree: deleted under a running process it begins anew, and numbers go on") {
  ScratchFolder scratch;
  auto tree = must_open(scratch.path());
  const Inode before = tree->put(kRootInode, "x", {0, 1})->inode;
  SUBCASE("the file") { REQUIRE(fs::remove(data_of(scratch.path()))); }
  SUBCASE("everything") { REQUIRE(fs::remove_all(scratch.path()) > 0); }
  SUBCASE("moved away") {
    // Seen at the next change; until then the old file serves.
    fs::rename(data_of(scratch.path()), scratch.path() / "elsewhere");
    REQUIRE(tree->put(kRootInode, "notice", {0, 1}));
  }
  CHECK_FALSE(tree->lookup(kRootInode, "x"));
  const auto again = tree->put(kRootInode, "x", {0, 1});
  REQUIRE(again);
  CHECK(again->inode > before);
  CHECK(fs::exists(data_of(scratch.path())));
  // A second process meets the first in the new file.
  Child other([&](int tell) {
    auto own = open_in(scratch.path());
    const bool met = own && (*own)->lookup(kRootInode, "x");
    if (::write(tell, "r", 1) != 1 || !met) _exit(1);
  });
  REQUIRE(other.wait_ready());
  CHECK(other.end(0) == 0);
}

TEST_CASE("tree: cut short under a running process it begins anew") {
  ScratchFolder scratch;
  auto tree = must_open(scratch.path());
  REQUIRE(tree->store_listing(kRootInode, frames(5000), {}));
  tree = nullptr;
  tree = must_open(scratch.path());
  REQUIRE(tree->lookup(kRootInode, "frame4999"));
  fs::resize_file(data_of(scratch.path()), 8192);
  CHECK_FALSE(tree->lookup(kRootInode, "frame4999"));
  CHECK(tree->put(kRootInode, "frame4999", {0, 1}));
  CHECK(fs::exists(data_of(scratch.path()).string() + ".damaged"));
}

TEST_CASE("tree: a file changed while nobody had it open is set aside, whatever was done to it") {
  const unsigned seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 12; ++round) {
    CAPTURE(round);
    ScratchFolder scratch;
    const fs::path data = data_of(scratch.path());
    // Even rounds: closed in order. Odd rounds: killed, and every page must be looked at.
    Child writer([&](int tell) {
      auto tree = open_in(scratch.path());
      if (!tree || !(*tree)->store_listing(kRootInode, frames(5000), {{"n", "e", frames(5000)}})) {
        _exit(1);
      }
      if (round % 2 == 0) tree->reset();
      if (::write(tell, "r", 1) != 1) _exit(2);
      ::pause();
    });
    REQUIRE(writer.wait_ready());
    writer.end(SIGKILL);
    std::string bytes(fs::file_size(data), '\0');
    std::fstream file(data, std::ios::in | std::ios::out | std::ios::binary);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const bool whole = random() % 2 == 0;
    // Page 0 and 1 alone hold the heads; a page of names in the middle is the harder case.
    for (std::size_t i = whole ? 0 : bytes.size() / 2; i < bytes.size(); ++i) {
      bytes[i] = static_cast<char>(random());
    }
    file.seekp(0);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    auto tree = must_open(scratch.path());
    CHECK_FALSE(tree->lookup(kRootInode, "frame1"));
    CHECK(tree->put(kRootInode, "frame1", {0, 1}));
    CHECK(fs::exists(data.string() + ".damaged"));
  }
}

TEST_CASE("tree: after a power cut the file is not believed") {
  ScratchFolder scratch;
  {
    Child writer([&](int tell) {
      auto tree = open_in(scratch.path());
      if (!tree || !(*tree)->put(kRootInode, "x", {0, 1})) _exit(1);
      if (::write(tell, "r", 1) != 1) _exit(2);
      ::pause();
    });
    REQUIRE(writer.wait_ready());
  }
  SUBCASE("the same boot: killed, but the page cache holds what was written") {
    CHECK(must_open(scratch.path())->lookup(kRootInode, "x"));
  }
  SUBCASE("another boot") {
    std::ofstream(scratch.path() / "c" / "state") << "open 01234567-89ab-cdef-0123-456789abcdef\n";
    CHECK_FALSE(must_open(scratch.path())->lookup(kRootInode, "x"));
  }
  SUBCASE("closed in order, then another boot: nothing is lost") {
    must_open(scratch.path()).reset();
    std::string state;
    std::ifstream file(scratch.path() / "c" / "state");
    std::getline(file, state);
    CHECK(state.starts_with("closed "));
    CHECK(must_open(scratch.path())->lookup(kRootInode, "x"));
  }
}

TEST_CASE("tree: rubbish in place of the file, or another schema, is replaced") {
  ScratchFolder scratch;
  must_open(scratch.path()).reset();
  for (const std::string& rubbish : {std::string(), std::string("x"), std::string(100'000, 'y')}) {
    CAPTURE(rubbish.size());
    std::ofstream(data_of(scratch.path()), std::ios::binary | std::ios::trunc) << rubbish;
    auto tree = must_open(scratch.path());
    CHECK(tree->put(kRootInode, "x", {0, 1}));
    CHECK(tree->lookup(kRootInode, "x"));
  }
}

TEST_CASE("tree: a place that cannot be used is one clear error") {
  ScratchFolder scratch;
  std::ofstream(scratch.path() / "file") << "x";
  const auto opened = open_in(scratch.path() / "file");
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == std::errc::not_a_directory);
  CHECK(opened.error().what.find("file") != std::string::npos);
}

TEST_CASE("tree: when its disk is full it goes on in memory") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: mounting a small disk needs root");
    return;
  }
  ScratchFolder scratch;
  REQUIRE(::mount("tmpfs", scratch.path().c_str(), "tmpfs", 0, "size=1m") == 0);
  {
    auto tree = must_open(scratch.path());
    const Inode first = tree->put(kRootInode, "x", {0, 1})->inode;
    REQUIRE(tree->store_listing(kRootInode, frames(50'000), {{"n", "e", frames(50'000)}}));
    CHECK(tree->names(kRootInode, "", 100'000)->size() == 50'000);
    CHECK(tree->lookup(kRootInode, "frame49999")->inode > first);
    CHECK(tree->put(kRootInode, "y", {0, 1}));
  }
  CHECK(::umount2(scratch.path().c_str(), MNT_DETACH) == 0);
}

}  // namespace
}  // namespace skein
