#include "tools/local_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "core/scratch_folder.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  fs::path operator/(const char* name) const { return scratch_.path() / name; }
  std::size_t count() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(scratch_.path()), fs::directory_iterator()));
  }

 private:
  ScratchFolder scratch_;
};

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("local file: it has no name before it is whole, and nothing stays if it never is") {
  const Folder folder;
  {
    auto file = LocalFile::create(folder / "a");
    REQUIRE(file);
    REQUIRE((*file)->write(std::string("part")));
    CHECK_FALSE(fs::exists(folder / "a"));
  }
  CHECK(folder.count() == 0);
}

TEST_CASE("local file: published, it has its bytes and its name, and no other file is there") {
  const Folder folder;
  auto file = LocalFile::create(folder / "a");
  REQUIRE(file);
  REQUIRE((*file)->write(std::string("whole")));
  REQUIRE((*file)->publish(LocalFile::IfThere::kRefuse));
  CHECK(content_of(folder / "a") == "whole");
  file->reset();
  CHECK(folder.count() == 1);
}

TEST_CASE("local file: a name that came into being meanwhile is kept") {
  const Folder folder;
  auto file = LocalFile::create(folder / "a");
  REQUIRE(file);
  REQUIRE((*file)->write(std::string("late")));
  std::ofstream(folder / "a") << "first";
  const auto published = (*file)->publish(LocalFile::IfThere::kRefuse);
  REQUIRE_FALSE(published);
  CHECK(published.error().code == std::errc::file_exists);
  file->reset();
  CHECK(content_of(folder / "a") == "first");
  CHECK(folder.count() == 1);
}

TEST_CASE("local file: replacing is whole as well, and leaves no other name") {
  const Folder folder;
  std::ofstream(folder / "a") << "old";
  auto file = LocalFile::create(folder / "a");
  REQUIRE(file);
  REQUIRE((*file)->write(std::string("new")));
  CHECK(content_of(folder / "a") == "old");
  REQUIRE((*file)->publish(LocalFile::IfThere::kReplace));
  file->reset();
  CHECK(content_of(folder / "a") == "new");
  CHECK(folder.count() == 1);
}

TEST_CASE("local file: a folder that is not there is an error that names the file") {
  const Folder folder;
  const auto file = LocalFile::create(folder / "no" / "a");
  REQUIRE_FALSE(file);
  CHECK(file.error().code == std::errc::no_such_file_or_directory);
  CHECK(file.error().what.find("/no/a") != std::string::npos);
}

TEST_CASE("local file: scratch space takes bytes and has no name") {
  const Folder folder;
  ::setenv("TMPDIR", (folder / "").c_str(), 1);
  const auto scratch = open_scratch();
  ::unsetenv("TMPDIR");
  REQUIRE(scratch);
  CHECK(::write(scratch->get(), "abc", 3) == 3);
  struct stat info {};
  REQUIRE(::fstat(scratch->get(), &info) == 0);
  CHECK(info.st_nlink == 0);
  CHECK(folder.count() == 0);
}

}  // namespace
}  // namespace skein
