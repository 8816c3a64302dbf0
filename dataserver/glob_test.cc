#include "dataserver/glob.h"

#include "dataserver/scratch_store.h"

namespace skein {
namespace {

using Names = std::vector<std::string>;

Names matches(const ScratchStore& s, const std::string& pattern) {
  const auto found = glob(s.store->root(), pattern);
  REQUIRE(found);
  return *found;
}

TEST_CASE("glob: patterns match as a shell's do, within one name") {
  ScratchStore s;
  for (const char* name : {"a/1.tif", "a/2.tif", "a/x.csv", "b/1.tif", "a/.hidden.tif", "a/sub/1.tif",
                           "odd/[x]"}) {
    REQUIRE(s.put(name, "x"));
  }
  CHECK(matches(s, "a/*.tif") == Names{"a/1.tif", "a/2.tif"});
  CHECK(matches(s, "/a/[12].tif") == Names{"a/1.tif", "a/2.tif"});
  CHECK(matches(s, "*/1.tif") == Names{"a/1.tif", "b/1.tif"});
  CHECK(matches(s, "a/?.tif") == Names{"a/1.tif", "a/2.tif"});
  CHECK(matches(s, "a/.*.tif") == Names{"a/.hidden.tif"});
  CHECK(matches(s, "*") == Names{"a", "b", "odd"});
  CHECK(matches(s, "a/s*") == Names{"a/sub"});
  CHECK(matches(s, "a/1.tif") == Names{"a/1.tif"});
  CHECK(matches(s, "odd/[[]x]") == Names{"odd/[x]"});
  CHECK(matches(s, "a/1.tif/*").empty());
  CHECK(matches(s, "missing/*").empty());
}

TEST_CASE("glob: nothing private and nothing outside of the root is found") {
  ScratchStore s;
  ScratchFolder outside;
  std::ofstream(outside.path() / "secret") << "x";
  std::filesystem::create_symlink(outside.path(), s.on_disk("out"));
  REQUIRE(s.put("f", "x"));
  CHECK(matches(s, "../*").empty());
  CHECK(matches(s, "/../*").empty());
  CHECK(matches(s, ".skein/*").empty());
  CHECK(matches(s, ".s*/*").empty());
  CHECK(matches(s, "out/*").empty());
  CHECK(matches(s, "*").size() == 1);
  CHECK(matches(s, "").empty());
}

}  // namespace
}  // namespace skein
