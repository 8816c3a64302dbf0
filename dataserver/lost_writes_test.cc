#include "dataserver/lost_writes.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/scratch_folder.h"
#include "dataserver/file_mark.h"

using namespace skein;

namespace {

struct Folder {
  // The last sign of life of the server before.
  void alive_at(std::int64_t seconds) const {
    const std::array<timespec, 2> times{timespec{seconds, 0}, timespec{seconds, 0}};
    REQUIRE(::utimensat(fd.get(), "session", times.data(), 0) == 0);
  }
  ScratchFolder scratch;
  const std::filesystem::path path = scratch.path();
  const Fd fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
};

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

TEST_CASE("lost writes: a new folder, and a restart on the same mount, suspect nothing") {
  const Folder folder;
  CHECK_FALSE((*LostWrites::open(folder.fd.get(), "boot/1"))->suspects(0));
  folder.alive_at(5000);
  CHECK_FALSE((*LostWrites::open(folder.fd.get(), "boot/1"))->suspects(5000 * kSecond));
}

TEST_CASE("lost writes: after another mount the files written shortly before are suspected") {
  const Folder folder;
  REQUIRE(LostWrites::open(folder.fd.get(), "boot/1"));
  folder.alive_at(5000);
  const auto after = LostWrites::open(folder.fd.get(), "other/1");
  REQUIRE(after);
  CHECK((*after)->suspects(5000 * kSecond));
  CHECK((*after)->suspects(4401 * kSecond));
  CHECK((*after)->suspects(5119 * kSecond));
  CHECK_FALSE((*after)->suspects(4399 * kSecond));
  CHECK_FALSE((*after)->suspects(5121 * kSecond));
}

TEST_CASE("lost writes: what was suspected stays so, also in a session file cut short") {
  const Folder folder;
  REQUIRE(LostWrites::open(folder.fd.get(), "boot/1"));
  folder.alive_at(5000);
  REQUIRE(LostWrites::open(folder.fd.get(), "boot/2"));
  CHECK((*LostWrites::open(folder.fd.get(), "boot/2"))->suspects(5000 * kSecond));
  std::filesystem::resize_file(folder.path / "session", 0);
  folder.alive_at(9000);
  CHECK((*LostWrites::open(folder.fd.get(), "boot/2"))->suspects(9000 * kSecond));
}

TEST_CASE("lost writes: windows are bounded, the oldest goes first") {
  const Folder folder;
  for (int i = 0; i < 20; ++i) {
    REQUIRE(LostWrites::open(folder.fd.get(), "boot/" + std::to_string(i)));
    folder.alive_at(100'000 * (i + 1));
  }
  const auto last = LostWrites::open(folder.fd.get(), "boot/19");
  CHECK_FALSE((*last)->suspects(100'000 * kSecond));
  CHECK((*last)->suspects(1'900'000 * kSecond));
}

TEST_CASE("lost writes: a file with holes is told from a dense one") {
  const Folder folder;
  std::ofstream(folder.path / "dense") << std::string(100'000, 'x');
  std::ofstream(folder.path / "holes") << "";
  std::filesystem::resize_file(folder.path / "holes", 100'000);
  const Fd dense(::open((folder.path / "dense").c_str(), O_RDONLY | O_CLOEXEC));
  const Fd holes(::open((folder.path / "holes").c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(is_dense(dense.get(), 100'000));
  CHECK_FALSE(is_dense(holes.get(), 100'000));
  CHECK(write_mark(dense.get(), {100'000, 7, std::nullopt, true}));
  const auto mark = read_mark(dense.get());
  // A filesystem without such attributes has no marks at all.
  if (mark) CHECK(mark->dense);
  if (mark) CHECK_FALSE(mark->checksum);
}
