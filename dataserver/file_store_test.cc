#include "dataserver/file_store.h"

#include <sys/stat.h>

#include <atomic>
#include <thread>
#include <vector>

#include "dataserver/file_copy.h"
#include "dataserver/scratch_store.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

std::errc code_of(const Result<void>& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

// The same promises with and without O_TMPFILE.
template <typename Check>
void with_both_kinds_of_stage(Check check) {
  for (const bool unnamed : {true, false}) {
    CAPTURE(unnamed);
    FileStore::Options options;
    options.unnamed_stages = unnamed;
    ScratchStore scratch(options);
    check(scratch);
  }
}

TEST_CASE("store: no symlink leads to the private folder") {
  ScratchStore s;
  std::filesystem::create_directory_symlink(".", s.on_disk("a"));
  std::filesystem::create_directory_symlink(".skein", s.on_disk("b"));
  std::filesystem::create_symlink(".skein/node-id", s.on_disk("c"));
  REQUIRE(s.put("plain", "x"));
  CHECK(s.store->open_file(s.path("a/plain")));
  for (const char* name : {"a/.skein/node-id", "b/node-id", "c", "a/a/.skein/lock"}) {
    const auto file = s.store->open_file(s.path(name));
    REQUIRE_FALSE(file);
    CHECK(file.error().code == std::errc::permission_denied);
  }
  CHECK_FALSE(s.put("b/new", "x"));
  CHECK_FALSE(s.put("a/.skein/new", "x"));
  CHECK_FALSE(s.store->index().listing(s.path("b")));
  CHECK_FALSE(std::filesystem::exists(s.on_disk(".skein/new")));
}

TEST_CASE("store: a file is invisible until it is published, then whole and read-only") {
  with_both_kinds_of_stage([](ScratchStore& s) {
    const auto path = s.path("a/b/f");
    auto stage = s.store->stage(path, 3);
    REQUIRE(stage);
    REQUIRE(stage->append(std::string_view("abc")));
    CHECK(s.store->open_file(path).error().code == std::errc::no_such_file_or_directory);
    CHECK_FALSE(fs::exists(s.on_disk("a")));
    REQUIRE(s.store->publish(*stage, path));
    CHECK(s.read_by_hand("a/b/f") == "abc");
    CHECK((fs::status(s.on_disk("a/b/f")).permissions() & fs::perms::all) ==
          (fs::perms::owner_read | fs::perms::group_read));
  });
}

TEST_CASE("store: a dropped stage leaves nothing behind") {
  with_both_kinds_of_stage([](ScratchStore& s) {
    { REQUIRE(s.store->stage(s.path("x/f"), 0)); }
    CHECK(s.staged() == 0);
    CHECK_FALSE(fs::exists(s.on_disk("x")));
  });
}

TEST_CASE("store: what exists is never replaced, whatever it is") {
  with_both_kinds_of_stage([](ScratchStore& s) {
    REQUIRE(s.put("d/f", "first"));
    CHECK(code_of(s.put("d/f", "second")) == std::errc::file_exists);
    CHECK(code_of(s.put("d", "a directory's name")) == std::errc::file_exists);
    CHECK(code_of(s.put("d/f/below", "a file as parent")) == std::errc::file_exists);
    CHECK(code_of(s.put("", "the root")) == std::errc::file_exists);
    fs::create_symlink("nowhere", s.on_disk("dangling"));
    CHECK(code_of(s.put("dangling", "x")) == std::errc::file_exists);
    CHECK(s.read_by_hand("d/f") == "first");
    CHECK(s.staged() == 0);
  });
}

TEST_CASE("store: a name taken between stage and publish refuses the publish, and keeps the stage") {
  with_both_kinds_of_stage([](ScratchStore& s) {
    auto late = s.store->stage(s.path("f"), 4);
    REQUIRE(late);
    REQUIRE(late->append(std::string_view("late")));
    REQUIRE(s.put("f", "early"));
    CHECK(code_of(s.store->publish(*late, s.path("f"))) == std::errc::file_exists);
    REQUIRE(s.store->publish(*late, s.path("g")));
    CHECK(s.read_by_hand("f") == "early");
    CHECK(s.read_by_hand("g") == "late");
  });
}

TEST_CASE("store: a stage is published under the name it is given last, in another folder too") {
  ScratchStore s;
  REQUIRE(s.store->make_directory(s.path("a")));
  REQUIRE(s.store->make_directory(s.path("b")));
  auto staged = s.store->stage(s.path("a/f.tmp"), 3);
  REQUIRE(staged);
  REQUIRE(staged->append(std::string_view("abc")));
  REQUIRE(s.store->publish(*staged, s.path("b/f")));
  CHECK(s.read_by_hand("b/f") == "abc");
  CHECK_FALSE(s.store->open_file(s.path("a/f")));
}

TEST_CASE("store: only an empty folder is removed, and a stage made for it brings it back") {
  with_both_kinds_of_stage([](ScratchStore& s) {
    REQUIRE(s.put("full/f", "x"));
    CHECK(code_of(s.store->remove_directory(s.path("full"))) == std::errc::directory_not_empty);
    CHECK(code_of(s.store->remove_directory(s.path("full/f"))) == std::errc::not_a_directory);
    CHECK(code_of(s.store->remove_directory(s.path("none"))) ==
          std::errc::no_such_file_or_directory);
    CHECK(code_of(s.store->remove_directory(ClusterPath())) == std::errc::invalid_argument);
    REQUIRE(s.store->make_directory(s.path("empty")));
    auto stage = s.store->stage(s.path("empty/f"), 1);
    REQUIRE(stage);
    REQUIRE(stage->append({"y", 1}));
    REQUIRE(s.store->remove_directory(s.path("empty")));
    CHECK_FALSE(std::filesystem::exists(s.on_disk("empty")));
    REQUIRE(s.store->publish(*stage, s.path("empty/f")));
    CHECK(std::filesystem::file_size(s.on_disk("empty/f")) == 1);
  });
}

TEST_CASE("store: a folder removed while a file is made for it is made again") {
  with_both_kinds_of_stage([](ScratchStore& s) {
    constexpr int kRounds = 1000;
    const auto folder = [&](int round) { return s.path("r/" + std::to_string(round)); };
    std::atomic<int> round = -1;
    std::atomic<int> removed = 0;
    // Each folder is removed once at most: who is unlucky makes it anew.
    std::jthread remover([&] {
      for (int last = -1; last < kRounds;) {
        const int now = round;
        if (now == last) std::this_thread::yield();
        if (now != last && now < kRounds && s.store->remove_directory(folder(now))) ++removed;
        last = now;
      }
    });
    std::string refused;
    for (int n = 0; n < kRounds; ++n) {
      std::filesystem::create_directories(s.on_disk(folder(n).text()));
      round = n;
      const auto file = *folder(n).child("f");
      auto stage = s.store->stage(file, 1);
      const auto published = stage ? s.store->publish(*stage, file) : stage.error();
      if (!published) refused += published.error().what + "\n";
    }
    round = kRounds;
    remover.join();
    CHECK(refused == "");
    CHECK(removed > 0);
  });
}

TEST_CASE("store: of many publishes of one name exactly one wins") {
  with_both_kinds_of_stage([](ScratchStore& s) {
    for (int round = 0; round < 20; ++round) {
      const std::string name = "race/" + std::to_string(round) + "/f";
      std::atomic<int> wins = 0;
      std::atomic<int> winner = -1;
      std::vector<std::jthread> writers;
      for (int i = 0; i < 4; ++i) {
        writers.emplace_back([&, i] {
          if (s.put(name, std::string(1000, static_cast<char>('a' + i)))) {
            ++wins;
            winner = i;
          }
        });
      }
      writers.clear();
      REQUIRE(wins == 1);
      CHECK(s.read_by_hand(name) == std::string(1000, static_cast<char>('a' + winner)));
    }
    CHECK(s.staged() == 0);
  });
}

TEST_CASE("store: nothing outside of the folder is opened, made or written through a symlink") {
  ScratchStore s;
  ScratchFolder outside;
  std::ofstream(outside.path() / "secret") << "secret";
  fs::create_symlink(outside.path(), s.on_disk("out"));
  fs::create_symlink(outside.path() / "secret", s.on_disk("file"));
  fs::create_symlink("../..", s.on_disk("up"));
  for (const char* name : {"out/secret", "file", "up/tmp"}) {
    CAPTURE(name);
    CHECK(s.store->open_file(s.path(name)).error().code == std::errc::permission_denied);
  }
  CHECK(code_of(s.put("out/new", "x")) == std::errc::permission_denied);
  CHECK(code_of(s.put("out/deep/new", "x")) == std::errc::permission_denied);
  CHECK(code_of(s.store->make_directory(s.path("out/dir"))) == std::errc::permission_denied);
  CHECK(std::distance(fs::directory_iterator(outside.path()), {}) == 1);
}

TEST_CASE("store: a symlink that stays inside is followed") {
  ScratchStore s;
  REQUIRE(s.put("real/f", "abc"));
  fs::create_symlink("real", s.on_disk("alias"));
  const auto file = s.store->open_file(s.path("alias/f"));
  REQUIRE(file);
  CHECK(file->found.size_bytes == 3);
}

TEST_CASE("store: a fifo in the folder holds nobody up and is no file") {
  ScratchStore s;
  REQUIRE(::mkfifo(s.on_disk("fifo").c_str(), 0600) == 0);
  CHECK_FALSE(s.store->open_file(s.path("fifo")));
}

TEST_CASE("store: below the reserve of free space nothing is staged") {
  FileStore::Options options;
  options.reserve_bytes = ~std::uint64_t{0} / 2;
  ScratchStore s(options);
  CHECK(code_of(s.put("f", "x")) == std::errc::no_space_on_device);
  ScratchStore roomy;
  CHECK(roomy.store->stage(roomy.path("f"), ~std::uint64_t{0} / 2).error().code ==
        std::errc::no_space_on_device);
}

TEST_CASE("store: a name taken is found at publish if nobody looked, at once if the disk is full") {
  with_both_kinds_of_stage([](ScratchStore& s) {
    REQUIRE(s.put("f", "first"));
    const auto unseen = FileStore::NameCheck::kAtPublish;
    auto stage = s.store->stage(s.path("f"), 6, unseen);
    REQUIRE(stage);
    REQUIRE(stage->append(std::string_view("second")));
    CHECK(code_of(s.store->publish(*stage, s.path("f"))) == std::errc::file_exists);
    CHECK(s.read_by_hand("f") == "first");
    // More than any disk has.
    const std::uint64_t much = ~std::uint64_t{0} / 2;
    CHECK(s.store->stage(s.path("f"), much, unseen).error().code == std::errc::file_exists);
    CHECK(s.store->stage(s.path("g"), much, unseen).error().code == std::errc::no_space_on_device);
  });
}

TEST_CASE("store: one server to a root; the id stays; stages of a dead server go") {
  ScratchFolder folder;
  std::string id;
  {
    const auto first = FileStore::open(folder.path().string(), {});
    REQUIRE(first);
    id = (*first)->node_id();
    const auto second = FileStore::open(folder.path().string(), {});
    REQUIRE_FALSE(second);
    CHECK(second.error().code == std::errc::device_or_resource_busy);
    CHECK(second.error().what.find(folder.path().string()) != std::string::npos);
  }
  const fs::path left = folder.path() / ".skein/stage/unnamed-left";
  std::ofstream(left) << "half";
  const auto again = FileStore::open(folder.path().string(), {});
  REQUIRE(again);
  CHECK((*again)->node_id() == id);
  CHECK_FALSE(fs::exists(left));
}

TEST_CASE("store: a damaged node id is an error, not a new identity") {
  ScratchFolder folder;
  { REQUIRE(FileStore::open(folder.path().string(), {})); }
  fs::permissions(folder.path() / ".skein/node-id", fs::perms::owner_all);
  std::ofstream(folder.path() / ".skein/node-id") << "not a uuid";
  CHECK(FileStore::open(folder.path().string(), {}).error().code == std::errc::bad_message);
}

TEST_CASE("store: a missing or plain-file root is an error and is not made") {
  ScratchFolder folder;
  const auto missing = folder.path() / "missing";
  CHECK(FileStore::open(missing.string(), {}).error().code ==
        std::errc::no_such_file_or_directory);
  CHECK_FALSE(fs::exists(missing));
  std::ofstream(folder.path() / "file") << "";
  CHECK(FileStore::open((folder.path() / "file").string(), {}).error().code ==
        std::errc::not_a_directory);
}

TEST_CASE("store: the deepest allowed path can be written and read") {
  ScratchStore s;
  std::string deep;
  while (deep.size() + 251 < kMaxPathBytes) deep += std::string(250, 'd') + "/";
  deep += std::string(kMaxPathBytes - 1 - deep.size(), 'f');
  REQUIRE(s.put(deep, "x"));
  CHECK(s.store->open_file(s.path(deep)));
}

TEST_CASE("copy: all bytes arrive, holes and large files too") {
  ScratchFolder folder;
  const std::string from_name = (folder.path() / "from").string();
  const Fd from(::open(from_name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const Fd to(::open((folder.path() / "to").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const std::string bytes(3'000'001, 'x');
  REQUIRE(::pwrite(from.get(), bytes.data(), bytes.size(), 5'000'000) == 3'000'001);
  REQUIRE(copy_bytes(from.get(), to.get()));
  std::string got(8'000'001, '?');
  REQUIRE(::pread(to.get(), got.data(), got.size(), 0) == 8'000'001);
  CHECK(got == std::string(5'000'000, '\0') + bytes);
}

}  // namespace
}  // namespace skein
