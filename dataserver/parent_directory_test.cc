#include "dataserver/parent_directory.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <chrono>

namespace skein {
namespace {

using namespace std::chrono_literals;

ClusterPath path_of(std::string_view text) { return *ClusterPath::parse(text); }

Fd some_directory() { return Fd(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)); }

}  // namespace

TEST_CASE("parent: found once for the files of a folder, as long as one of them has it") {
  LastParent last;
  CHECK(last.of(path_of("a/b/1")) == nullptr);
  auto first = last.found(some_directory(), path_of("a/b"));
  auto second = last.of(path_of("a/b/2"));
  // A process held up for longer than the trust may not see it.
  if (second != nullptr) CHECK(second->directory.get() == first->directory.get());
  CHECK(last.of(path_of("a/1")) == nullptr);
  CHECK(last.of(path_of("a/b/c/1")) == nullptr);
  CHECK(last.of(path_of("a/c/1")) == nullptr);
  CHECK(last.of(ClusterPath()) == nullptr);
  first.reset();
  second.reset();
  CHECK(last.of(path_of("a/b/3")) == nullptr);
}

TEST_CASE("parent: one that was found too long ago is looked up again") {
  const auto now = std::chrono::steady_clock::now();
  const ParentDirectory old{some_directory(), path_of("a"), now - ParentDirectory::kTrust - 1ms};
  CHECK_FALSE(old.is_parent_of(path_of("a/1")));
  const ParentDirectory fresh{some_directory(), path_of("a"), now + 1h};
  CHECK(fresh.is_parent_of(path_of("a/1")));
  CHECK_FALSE(fresh.is_parent_of(path_of("a")));
  const ParentDirectory root{some_directory(), ClusterPath(), now + 1h};
  CHECK(root.is_parent_of(path_of("1")));
}

TEST_CASE("parent: one that was forgotten is looked up again") {
  LastParent last;
  const auto found = last.found(some_directory(), path_of("a"));
  last.forget();
  CHECK(last.of(path_of("a/1")) == nullptr);
}

}  // namespace skein
