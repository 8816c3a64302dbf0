#include "dataserver/growing_files.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "core/uuid.h"
#include "dataserver/scratch_store.h"

using namespace skein;

namespace {

namespace fs = std::filesystem;

// The growing files of a store; open() again is what a restart is.
struct Scene : ScratchStore {
  std::unique_ptr<GrowingFiles> files = opened();

  std::unique_ptr<GrowingFiles> opened() const {
    auto made = GrowingFiles::open(*store);
    REQUIRE(made);
    return std::move(*made);
  }
  void restart() {
    files.reset();
    files = opened();
  }
  Result<GrowingFile::Appended> append(const std::string& name, const std::string& text,
                                       const std::optional<RequestId>& request = {}) const {
    return files->append(path(name), AppendBytes(std::span<const char>(text)), request);
  }
  fs::path journals() const { return on_disk(".skein/append"); }
  std::size_t count_journals() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(journals()), {}));
  }
  mode_t mode(const std::string& name) const {
    struct stat st {};
    REQUIRE(::stat(on_disk(name).c_str(), &st) == 0);
    return st.st_mode & 07777;
  }
};

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), {}));
}

}  // namespace

TEST_CASE("growing files: the first append makes the file and its folders, and it grows on later") {
  Scene s;
  CHECK_FALSE(s.files->committed_bytes(s.path("a/b.log")));
  REQUIRE(s.append("a/b.log", "one\n"));
  CHECK(s.mode("a/b.log") == kGrowingMode);
  CHECK(s.append("a/b.log", "two\n")->offset == 4);
  CHECK(s.files->committed_bytes(s.path("a/b.log")) == 8);
  s.restart();
  CHECK(s.files->count() == 1);
  CHECK(s.files->committed_bytes(s.path("a/b.log")) == 8);
  CHECK(s.append("a/b.log", "three\n")->offset == 8);
  CHECK(s.read_by_hand("a/b.log") == "one\ntwo\nthree\n");
}

TEST_CASE("growing files: what was put, or is a directory, does not grow") {
  Scene s;
  REQUIRE(s.put("put.log", "put\n"));
  CHECK(s.append("put.log", "x").error().code == std::errc::file_exists);
  CHECK(s.read_by_hand("put.log") == "put\n");
  REQUIRE(s.store->make_directory(s.path("folder")));
  CHECK(s.append("folder", "x").error().code == std::errc::file_exists);
  CHECK(s.append("put.log/below", "x").error().code == std::errc::file_exists);
  CHECK(s.count_journals() == 0);
}

TEST_CASE("growing files: a sealed one is ordinary for ever, also to who seals it again") {
  Scene s;
  REQUIRE(s.append("a.log", "one\n"));
  REQUIRE(s.files->seal(s.path("a.log")));
  CHECK(s.mode("a.log") == 0440);
  CHECK(s.files->count() == 0);
  CHECK(s.count_journals() == 0);
  CHECK(s.append("a.log", "two\n").error().code == std::errc::file_exists);
  CHECK(s.files->seal(s.path("a.log")));
  s.restart();
  CHECK(s.append("a.log", "two\n").error().code == std::errc::file_exists);
  CHECK(s.read_by_hand("a.log") == "one\n");
  CHECK(s.files->seal(s.path("none.log")).error().code == std::errc::no_such_file_or_directory);
}

TEST_CASE("growing files: a first append that fails leaves neither file nor journal") {
  Scene s;
  s.write_by_hand("short", "1234");
  const Fd source(::open(s.on_disk("short").c_str(), O_RDONLY | O_CLOEXEC));
  const auto failed = s.files->append(s.path("a.log"), FileStretch{source.get(), 0, 5000}, {});
  CHECK(failed.error().code == std::errc::operation_canceled);
  CHECK_FALSE(fs::exists(s.on_disk("a.log")));
  CHECK(s.count_journals() == 0);
  CHECK(s.append("a.log", "one\n")->offset == 0);
}

TEST_CASE("growing files: one that was taken away by hand begins anew") {
  Scene s;
  REQUIRE(s.append("a.log", "one\n"));
  fs::remove(s.on_disk("a.log"));
  CHECK(s.append("a.log", "two\n")->offset == 0);
  CHECK(s.read_by_hand("a.log") == "two\n");
  CHECK(s.count_journals() == 1);
  fs::remove(s.on_disk("a.log"));
  s.restart();
  CHECK(s.files->count() == 0);
  CHECK(s.count_journals() == 0);
}

TEST_CASE("growing files: with a damaged journal the file is kept, takes nothing, and is not sealed") {
  Scene s;
  REQUIRE(s.append("a.log", "one\n"));
  s.files.reset();
  for (const auto& journal : fs::directory_iterator(s.journals())) {
    std::fstream(journal.path(), std::ios::in | std::ios::out).write("x", 1);
  }
  s.files = s.opened();
  CHECK(s.files->count() == 0);
  CHECK(s.append("a.log", "two\n").error().code == std::errc::file_exists);
  CHECK(s.files->seal(s.path("a.log")).error().code == std::errc::io_error);
  CHECK(s.read_by_hand("a.log") == "one\n");
  CHECK(s.count_journals() == 1);
}

TEST_CASE("growing files: more of them than may be open at once all grow") {
  Scene s;
  const std::size_t before = open_descriptors();
  constexpr std::size_t kFiles = GrowingFiles::kMostOpen + 40;
  for (int turn = 0; turn < 2; ++turn) {
    for (std::size_t n = 0; n < kFiles; ++n) {
      REQUIRE(s.append("f" + std::to_string(n) + ".log", std::to_string(turn) + "\n"));
    }
    CHECK(open_descriptors() <= before + 2 * GrowingFiles::kMostOpen);
  }
  CHECK(s.files->count() == kFiles);
  for (std::size_t n = 0; n < kFiles; ++n) {
    REQUIRE(s.read_by_hand("f" + std::to_string(n) + ".log") == "0\n1\n");
  }
}

TEST_CASE("growing files: first appends at the same time make one file with all of them") {
  Scene s;
  {
    std::vector<std::jthread> writers;
    for (int n = 0; n < 8; ++n) {
      writers.emplace_back([&s] {
        for (int file = 0; file < 10; ++file) {
          const bool appended = s.append("f" + std::to_string(file) + ".log", "line\n").ok();
          CHECK(appended);
        }
      });
    }
  }
  CHECK(s.files->count() == 10);
  CHECK(s.count_journals() == 10);
  for (int file = 0; file < 10; ++file) {
    CHECK(s.read_by_hand("f" + std::to_string(file) + ".log").size() == 8 * 5);
  }
}

TEST_CASE("growing files: one request id sent by many at the same time is carried out once") {
  Scene s;
  for (int turn = 0; turn < 20; ++turn) {
    const RequestId id = *parse_request_id(make_uuid());
    std::atomic<int> carried_out = 0, repeated = 0;
    {
      std::vector<std::jthread> senders;
      for (int n = 0; n < 8; ++n) {
        senders.emplace_back([&] {
          const auto done = s.append("a.log", "once\n", id);
          CHECK(done);
          if (done) ++(done->repeated ? repeated : carried_out);
        });
      }
    }
    CHECK(carried_out == 1);
    CHECK(repeated == 7);
  }
  CHECK(s.read_by_hand("a.log").size() == 20 * 5);
}
