#include "tools/local_tree.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "core/scratch_folder.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

TEST_CASE("local tree: files and empty folders are found, what can't be stored is said") {
  const ScratchFolder scratch;
  const fs::path& top = scratch.path();
  fs::create_directories(top / "sub" / "empty");
  std::ofstream(top / "b.tif") << "12345";
  std::ofstream(top / "sub" / "a.tif") << "1";
  fs::create_symlink("b.tif", top / "to-file");
  fs::create_symlink("sub", top / "to-folder");
  fs::create_symlink("nowhere", top / "to-nothing");
  REQUIRE(::mkfifo((top / "pipe").c_str(), 0600) == 0);

  std::vector<LocalEntry> found;
  std::vector<std::string> failed;
  list_local_tree(top, *ClusterPath::parse("/in"), found,
                  [&](const fs::path& file, const Error&) { failed.push_back(file.filename()); });

  std::vector<std::string> paths;
  for (const LocalEntry& entry : found) paths.push_back(entry.path.text());
  const std::vector<std::string> expected{"in/b.tif", "in/sub/a.tif", "in/sub/empty", "in/to-file"};
  CHECK(paths == expected);
  CHECK(found[0].size_bytes == 5);
  CHECK(found[2].is_folder);
  CHECK(found[3].size_bytes == 5);
  CHECK(failed == std::vector<std::string>{"pipe", "to-folder", "to-nothing"});
}

TEST_CASE("local tree: a folder that can't be read is one failure, not an empty folder") {
  std::vector<LocalEntry> found;
  int failures = 0;
  list_local_tree("/nonexistent/folder", ClusterPath(), found,
                  [&](const fs::path&, const Error&) { ++failures; });
  CHECK(found.empty());
  CHECK(failures == 1);
}

}  // namespace
}  // namespace skein
