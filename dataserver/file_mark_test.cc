#include "dataserver/file_mark.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "core/checksum.h"
#include "dataserver/scratch_store.h"

using namespace skein;

namespace {

std::uint64_t sum(const std::string& bytes) { return checksum_of(bytes); }

// What a power cut leaves of a file whose bytes were still on their way.
void cut(const std::filesystem::path& file, std::uint64_t size_bytes) {
  struct stat before {};
  REQUIRE(::stat(file.c_str(), &before) == 0);
  std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  REQUIRE(::truncate(file.c_str(), static_cast<off_t>(size_bytes)) == 0);
  const timespec times[2] = {before.st_atim, before.st_mtim};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
  REQUIRE(::chmod(file.c_str(), before.st_mode & 07777) == 0);
}

bool marked_here(const ScratchStore& s) {
  s.write_by_hand("probe", "");
  if (::setxattr(s.on_disk("probe").c_str(), "user.skein.probe", "1", 1, 0) == 0) return true;
  MESSAGE("SKIP: the filesystem of the scratch folder knows no user attributes");
  return false;
}

}  // namespace

TEST_CASE("file mark: what is written is read back, with and without a checksum") {
  const ScratchStore s;
  if (!marked_here(s)) return;
  const Fd fd(::open(s.on_disk("probe").c_str(), O_RDONLY));
  CHECK_FALSE(read_mark(fd.get()));
  for (const auto& checksum : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(7)}) {
    REQUIRE(write_mark(fd.get(), {1ULL << 40, -5, checksum}));
    const auto mark = read_mark(fd.get());
    REQUIRE(mark);
    CHECK(mark->size_bytes == 1ULL << 40);
    CHECK(mark->mtime_ns == -5);
    CHECK(mark->checksum == checksum);
  }
  for (const std::string bad : {"", "1", "1 2", "1 2 ", "1 2 zz", "1 2 -x", "x 2 -"}) {
    REQUIRE(::fsetxattr(fd.get(), "user.skein.mark", bad.data(), bad.size(), 0) == 0);
    CHECK_MESSAGE(!read_mark(fd.get()), bad);
  }
}

TEST_CASE("file mark: a published file carries the checksum it was given") {
  ScratchStore s;
  if (!marked_here(s)) return;
  auto stage = s.store->stage(s.path("d/a"), 3);
  REQUIRE(stage);
  REQUIRE(stage->append(std::string("abc")));
  stage->set_checksum(sum("abc"));
  REQUIRE(s.store->publish(*stage, s.path("d/a")));
  const auto file = s.store->open_file(s.path("d/a"));
  REQUIRE(file);
  CHECK(file->checksum == sum("abc"));
  REQUIRE(s.put("b", "abc"));
  CHECK_FALSE(s.store->open_file(s.path("b"))->checksum);
  CHECK_FALSE(s.store->open_file(s.path("probe"))->checksum);
}

TEST_CASE("file mark: a file that is shorter than what was acknowledged is not served") {
  ScratchStore s;
  if (!marked_here(s)) return;
  for (const std::uint64_t left : {0, 1, 2}) {
    const std::string name = "cut" + std::to_string(left);
    REQUIRE(s.put(name, "abc"));
    REQUIRE(s.store->open_file(s.path(name)));
    cut(s.on_disk(name), left);
    const auto file = s.store->open_file(s.path(name));
    REQUIRE_FALSE(file);
    CHECK(file.error().code == std::errc::io_error);
    CHECK(file.error().what.find("of 3 bytes") != std::string::npos);
  }
  CHECK(s.store->torn() == 3);
}

// What is logged while it exists.
class Log {
 public:
  Log() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_)));
  }
  ~Log() { spdlog::set_default_logger(before_); }
  // To be called when nothing is logged any more.
  long lines() const {
    const std::string text = lines_.str();
    return std::count(text.begin(), text.end(), '\n');
  }
  bool names(const std::string& path) const {
    return lines_.str().find("path=" + path + " ") != std::string::npos;
  }

 private:
  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::ostringstream lines_;
};

TEST_CASE("file mark: a torn file is one line in the log, however often it is asked for") {
  ScratchStore s;
  if (!marked_here(s)) return;
  for (const char* name : {"a", "b"}) {
    REQUIRE(s.put(name, "abc"));
    cut(s.on_disk(name), 2);
  }
  const Log log;
  for (int i = 0; i < 3; ++i) {
    for (const char* name : {"a", "b"}) CHECK_FALSE(s.store->open_file(s.path(name)));
  }
  CHECK(log.lines() == 2);
  CHECK(log.names("a"));
  CHECK(log.names("b"));
  CHECK(s.store->torn() == 6);
}

TEST_CASE("file mark: a file found torn by a listing is one line in the log, and none more if read") {
  ScratchStore s;
  if (!marked_here(s)) return;
  for (const char* name : {"d/whole", "d/cut"}) REQUIRE(s.put(name, "abc"));
  cut(s.on_disk("d/cut"), 2);
  s.cut_power();
  const Log log;
  for (int i = 0; i < 2; ++i) {
    const auto listing = s.store->index().listing(s.path("d"));
    REQUIRE(listing);
    CHECK(listing->json->find("whole") != std::string::npos);
    CHECK(listing->json->find("cut") == std::string::npos);
    CHECK_FALSE(s.store->open_file(s.path("d/cut")));
  }
  CHECK(log.lines() == 1);
  CHECK(log.names("d/cut"));
}

TEST_CASE("file mark: a file with an old time that lost bytes in a power cut is not served") {
  ScratchStore s;
  if (!marked_here(s)) return;
  for (const char* name : {"whole", "zeros"}) {
    auto stage = s.store->stage(s.path(name), 3);
    REQUIRE(stage);
    REQUIRE(stage->append(std::string("abc")));
    stage->set_checksum(sum("abc"));
    // As cp -a or rsync sets it before the seal.
    const timespec years_ago[2] = {{1000, 0}, {1000, 0}};
    REQUIRE(::futimens(stage->fd(), years_ago) == 0);
    REQUIRE(s.store->publish(*stage, s.path(name)));
  }
  s.cut_power();
  std::filesystem::permissions(s.on_disk("zeros"), std::filesystem::perms::owner_all);
  std::fstream(s.on_disk("zeros"), std::ios::in | std::ios::out) << '\0';
  std::filesystem::permissions(s.on_disk("zeros"), std::filesystem::perms::owner_read);
  const timespec years_ago[2] = {{1000, 0}, {1000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, s.on_disk("zeros").c_str(), years_ago, 0) == 0);
  CHECK(s.store->open_file(s.path("whole")));
  const auto file = s.store->open_file(s.path("zeros"));
  REQUIRE_FALSE(file);
  CHECK(file.error().code == std::errc::io_error);
}

TEST_CASE("file mark: a file that somebody changed is his, and has no checksum any more") {
  ScratchStore s;
  if (!marked_here(s)) return;
  REQUIRE(s.put("a", "abc"));
  std::filesystem::permissions(s.on_disk("a"), std::filesystem::perms::owner_all);
  s.write_by_hand("a", "longer than it was");
  const auto file = s.store->open_file(s.path("a"));
  REQUIRE(file);
  CHECK_FALSE(file->checksum);
  CHECK(s.store->torn() == 0);
}
