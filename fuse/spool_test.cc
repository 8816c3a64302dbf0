#include "fuse/spool.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/scripted_server.h"
#include "fuse/scratch_mount.h"

using namespace skein;

namespace {

// A private file on a disk of its own, as one that a node of this host has made.
Fd file_on_another_disk(const ScratchFolder& folder) {
  Fd file(::memfd_create("skein-test", MFD_CLOEXEC));
  struct stat own {};
  struct stat here {};
  REQUIRE(::fstat(file.get(), &own) == 0);
  REQUIRE(::stat(folder.path().c_str(), &here) == 0);
  REQUIRE(own.st_dev != here.st_dev);
  return file;
}

}  // namespace

TEST_CASE("spool: what is kept again, on another disk, holds the bytes of the second time") {
  const ScratchFolder folder;
  auto spool = Spool::open(folder.path(), "test", 0);
  REQUIRE(spool);
  const Fd file = file_on_another_disk(folder);
  const std::filesystem::path data = folder.path() / "recover" / "id.data";
  REQUIRE(::pwrite(file.get(), "first", 5, 0) == 5);
  REQUIRE((*spool)->keep("id", file.get(), {path_of("f"), "why", "", ""}, Spool::Then::kStays).ok());
  CHECK(content(data) == "first");
  REQUIRE(::pwrite(file.get(), "second", 6, 0) == 6);
  REQUIRE((*spool)->keep("id", file.get(), {path_of("f"), "why", "", ""}, Spool::Then::kStays).ok());
  CHECK(content(data) == "second");
}

TEST_CASE("spool: on one disk the kept name is the file itself, whatever is written later") {
  const ScratchFolder folder;
  auto spool = Spool::open(folder.path(), "test", 0);
  REQUIRE(spool);
  auto file = (*spool)->create();
  REQUIRE(file);
  REQUIRE(::pwrite(file->get(), "one", 3, 0) == 3);
  REQUIRE((*spool)->keep("id", file->get(), {path_of("f"), "why", "", ""}, Spool::Then::kStays).ok());
  REQUIRE(::pwrite(file->get(), "two", 3, 3) == 3);
  REQUIRE((*spool)->keep("id", file->get(), {path_of("g"), "why", "", ""}, Spool::Then::kStays).ok());
  CHECK(content(folder.path() / "recover" / "id.data") == "onetwo");
  CHECK(content(folder.path() / "recover" / "id.json").find("\"/g\"") != std::string::npos);
}

TEST_CASE("spool: a folder that was there keeps its mode, and nobody else reads what is kept") {
  const auto mode = [](const std::filesystem::path& path) {
    return std::filesystem::status(path).permissions();
  };
  using std::filesystem::perms;
  const ScratchFolder folder;
  const perms shared = perms::owner_all | perms::group_read | perms::group_exec |
                       perms::others_read | perms::others_exec;
  std::filesystem::permissions(folder.path(), shared);
  REQUIRE(Spool::open(folder.path(), "test", 0));
  CHECK(mode(folder.path()) == shared);
  CHECK(mode(folder.path() / "recover") == perms::owner_all);
  if (::geteuid() == 0) {
    REQUIRE(::chown((folder.path() / "recover").c_str(), 1, 1) == 0);
    CHECK(Spool::open(folder.path(), "test", 0).error().code == std::errc::permission_denied);
  }
  REQUIRE(Spool::open(folder.path() / "new" / "spool", "test", 0));
  CHECK(mode(folder.path() / "new" / "spool") == perms::owner_all);
}
