#include "aggregate/growing_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

#include "core/scratch_folder.h"
#include "core/uuid.h"

using namespace skein;

namespace {

// A growing file in a folder of its own, as a server would hold it.
struct Scene {
  ScratchFolder scratch;
  Fd folder{::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY)};
  int flushes = 0;

  Fd open_file(int flags) const {
    Fd fd(::openat(folder.get(), "log.txt", flags | O_RDWR, 0644));
    REQUIRE(fd);
    return fd;
  }
  GrowingFile::Flush flush() {
    return [this] {
      ++flushes;
      return Result<void>();
    };
  }
  std::unique_ptr<GrowingFile> begin() {
    auto journal = AppendJournal::create(folder.get(), "j", *ClusterPath::parse("log.txt"));
    REQUIRE(journal);
    return std::make_unique<GrowingFile>(open_file(O_CREAT | O_EXCL), std::move(*journal), flush());
  }
  std::unique_ptr<GrowingFile> resume(
      GrowingFile::Check check = GrowingFile::Check::kBytes) {
    auto journal = AppendJournal::open(folder.get(), "j");
    REQUIRE(journal);
    auto file = GrowingFile::resume(open_file(0), std::move(*journal), flush(), check);
    REQUIRE(file);
    return std::move(*file);
  }
  std::string content() const {
    std::string text(1 << 20, '\0');
    const ssize_t n = ::pread(open_file(0).get(), text.data(), text.size(), 0);
    REQUIRE(n >= 0);
    text.resize(static_cast<std::size_t>(n));
    return text;
  }
  void write_by_hand(std::uint64_t offset, const std::string& text) const {
    const ssize_t n = ::pwrite(open_file(0).get(), text.data(), text.size(),
                               static_cast<off_t>(offset));
    REQUIRE(n == static_cast<ssize_t>(text.size()));
  }
  void cut_by_hand(off_t size) const { REQUIRE(::ftruncate(open_file(0).get(), size) == 0); }
};

Result<GrowingFile::Appended> append(GrowingFile& file, const std::string& text,
                                     const std::optional<RequestId>& request = {}) {
  return file.append(AppendBytes(std::span<const char>(text)), request);
}

RequestId fresh_id() { return *parse_request_id(make_uuid()); }

}  // namespace

TEST_CASE("request id: only a UUID in its usual form, and not zero") {
  CHECK(parse_request_id("01234567-89ab-4cde-8f01-23456789abcd"));
  CHECK_FALSE(parse_request_id("01234567-89AB-4cde-8f01-23456789abcd"));
  CHECK_FALSE(parse_request_id("00000000-0000-0000-0000-000000000000"));
  CHECK_FALSE(parse_request_id(""));
  CHECK(*parse_request_id("01234567-89ab-4cde-8f01-23456789abcd") !=
        *parse_request_id("01234567-89ab-4cde-8f01-23456789abce"));
}

TEST_CASE("growing file: appends follow each other and are there after a restart") {
  Scene scene;
  {
    const auto file = scene.begin();
    CHECK(file->untouched());
    CHECK(append(*file, "one\n")->offset == 0);
    CHECK(append(*file, "")->length == 0);
    CHECK(append(*file, "two\n")->offset == 4);
    CHECK(file->committed_bytes() == 8);
  }
  const auto again = scene.resume();
  CHECK(again->committed_bytes() == 8);
  CHECK_FALSE(again->untouched());
  CHECK(append(*again, "three\n")->offset == 8);
  CHECK(scene.content() == "one\ntwo\nthree\n");
}

TEST_CASE("growing file: bytes that no journal entry vouches for are cut off at the restart") {
  Scene scene;
  REQUIRE(append(*scene.begin(), "whole\n"));
  scene.write_by_hand(6, "half an app");
  CHECK(scene.resume()->committed_bytes() == 6);
  CHECK(scene.content() == "whole\n");
}

TEST_CASE("growing file: the very first append, cut, leaves nothing") {
  Scene scene;
  (void)scene.begin();
  scene.write_by_hand(0, "half");
  const auto file = scene.resume();
  CHECK(file->untouched());
  CHECK(scene.content().empty());
}

TEST_CASE("growing file: after a power cut an entry whose bytes did not come to the disk is void") {
  Scene scene;
  {
    const auto file = scene.begin();
    for (const char* text : {"one\n", "two\n", "three\n", "four\n"}) REQUIRE(append(*file, text));
  }
  SUBCASE("bytes lost inside") {
    scene.write_by_hand(8, std::string(3, '\0'));
    CHECK(scene.resume()->committed_bytes() == 8);
    CHECK(scene.content() == "one\ntwo\n");
  }
  SUBCASE("length lost") {
    scene.cut_by_hand(16);
    CHECK(scene.resume()->committed_bytes() == 14);
    CHECK(scene.content() == "one\ntwo\nthree\n");
  }
  // What comes next is not taken for what was void.
  const auto file = scene.resume();
  REQUIRE(append(*file, "next\n"));
  const std::string kept = scene.content();
  CHECK(scene.resume()->committed_bytes() == kept.size());
  CHECK(scene.content() == kept);
}

TEST_CASE("growing file: a request id is carried out once, also across a restart") {
  Scene scene;
  const RequestId id = fresh_id();
  {
    const auto file = scene.begin();
    REQUIRE(append(*file, "before\n"));
    CHECK_FALSE(append(*file, "once\n", id)->repeated);
    CHECK(append(*file, "once\n", id)->repeated);
    CHECK(append(*file, "once\n", id)->offset == 7);
  }
  const auto file = scene.resume();
  CHECK(append(*file, "once\n", id)->repeated);
  CHECK(append(*file, "other\n", id).error().code == std::errc::invalid_argument);
  CHECK_FALSE(append(*file, "once\n", fresh_id())->repeated);
  CHECK(scene.content() == "before\nonce\nonce\n");
}

TEST_CASE("growing file: beyond the journal's ring the latest appends still count") {
  Scene scene;
  const RequestId forgotten = fresh_id();
  const RequestId known = fresh_id();
  std::uint64_t size = 0;
  {
    const auto file = scene.begin();
    REQUIRE(append(*file, "x\n", forgotten));
    for (std::uint64_t i = 0; i < AppendJournal::kRecords + 500; ++i) {
      REQUIRE(append(*file, std::to_string(i) + "\n"));
    }
    REQUIRE(append(*file, "x\n", known));
    size = file->committed_bytes();
    CHECK_FALSE(append(*file, "x\n", forgotten)->repeated);
    CHECK(append(*file, "x\n", known)->repeated);
    size = file->committed_bytes();
    // So many wait for one flush, not more.
    CHECK(scene.flushes == 2);
  }
  scene.write_by_hand(size, "half");
  const auto file = scene.resume();
  CHECK(file->committed_bytes() == size);
  CHECK(append(*file, "x\n", known)->repeated);
}

TEST_CASE("growing file: a file that lost more than the journal holds is kept as it is") {
  Scene scene;
  {
    const auto file = scene.begin();
    for (std::uint64_t i = 0; i < 2 * AppendJournal::kRecords; ++i) REQUIRE(append(*file, "line\n"));
  }
  scene.cut_by_hand(12);
  {
    const auto file = scene.resume();
    CHECK(file->committed_bytes() == 12);
    REQUIRE(append(*file, "new\n"));
  }
  CHECK(scene.resume()->committed_bytes() == 16);
  CHECK(scene.content() == std::string("line\nline\nli") + "new\n");
}

TEST_CASE("growing file: an append that the disk refuses leaves nothing") {
  Scene scene;
  const auto file = scene.begin();
  REQUIRE(append(*file, "one\n"));
  const Fd short_file(::memfd_create("body", MFD_CLOEXEC));
  REQUIRE(::write(short_file.get(), "part", 4) == 4);
  const auto refused = file->append(FileStretch{short_file.get(), 0, 100}, {});
  CHECK(refused.error().code == std::errc::operation_canceled);
  CHECK(scene.content() == "one\n");
  CHECK(append(*file, "two\n")->offset == 4);
}

TEST_CASE("growing file: nothing is appended to what was sealed or taken away") {
  Scene scene;
  const auto file = scene.begin();
  REQUIRE(append(*file, "one\n"));
  SUBCASE("sealed") { file->end_growth(); }
  SUBCASE("taken away") { REQUIRE(::unlinkat(scene.folder.get(), "log.txt", 0) == 0); }
  CHECK(append(*file, "two\n").error().code == std::errc::no_link);
}

TEST_CASE("growing file: lines of many threads are whole and none is lost") {
  Scene scene;
  const auto file = scene.begin();
  constexpr int kThreads = 8;
  constexpr int kLines = 500;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&file, t] {
        for (int i = 0; i < kLines; ++i) {
          const auto done =
              append(*file, "thread " + std::to_string(t) + " line " + std::to_string(i) + "\n");
          CHECK(done.ok());
        }
      });
    }
  }
  const std::string text = scene.content();
  CHECK(text.size() == file->committed_bytes());
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kLines; ++i) {
      const std::string line =
          "thread " + std::to_string(t) + " line " + std::to_string(i) + "\n";
      const std::size_t at = text.find(line);
      REQUIRE(at != std::string::npos);
      CHECK((at == 0 || text[at - 1] == '\n'));
    }
  }
}
