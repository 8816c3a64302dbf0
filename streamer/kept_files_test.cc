#include "streamer/kept_files.h"

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "client/scripted_server.h"
#include "core/scratch_folder.h"

namespace skein {
namespace {

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::filesystem::path keep(KeptFiles& kept, const std::string& path, const std::string& bytes) {
  const std::span<const char> piece(bytes);
  const auto at = kept.keep(path_of(path), {&piece, 1});
  REQUIRE(at);
  return *at;
}

TEST_CASE("kept files: files of equal paths, and a file where a folder was, lie side by side") {
  const ScratchFolder scratch;
  KeptFiles kept(scratch.path() / "not" / "there yet");
  const auto first = keep(kept, "s/a", "one");
  const auto second = keep(kept, "s/a", "two");
  const auto below = keep(kept, "s/a/b", "below");
  const auto above = keep(kept, "s", "above");
  CHECK(content(first) == "one");
  CHECK(content(second) == "two");
  CHECK(content(below) == "below");
  CHECK(content(above) == "above");
  // Each below a run's folder, at its path in the cluster: cp -r brings it home.
  CHECK(first.lexically_relative(kept.folder()).string().ends_with("/s/a"));
  CHECK(std::distance(std::filesystem::directory_iterator(kept.folder()), {}) == 4);
}

TEST_CASE("kept files: without a folder, or with one that can't be made, nothing is kept, and said") {
  CHECK(KeptFiles("").keep(path_of("a"), {}).error().code == std::errc::not_supported);
  const ScratchFolder scratch;
  std::ofstream(scratch.path() / "file") << "x";
  KeptFiles kept(scratch.path() / "file" / "below");
  CHECK_FALSE(kept.keep(path_of("a"), {}));
  CHECK(kept.left_behind()->empty());
}

TEST_CASE("kept files: what an ended program left is found, once, and a living one's is not") {
  const ScratchFolder scratch;
  const pid_t child = ::fork();
  if (child == 0) {
    KeptFiles kept(scratch.path());
    keep(kept, "d/a", "aa");
    keep(kept, "d/b c", "");
    ::kill(::getpid(), SIGKILL);
  }
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  KeptFiles living(scratch.path());
  keep(living, "mine", "mine");
  std::filesystem::path run;
  {
    KeptFiles kept(scratch.path());
    const auto left = kept.left_behind();
    REQUIRE(left);
    REQUIRE(left->size() == 2);
    CHECK((*left)[0].path.text() == "d/a");
    CHECK((*left)[0].size_bytes == 2);
    CHECK(content((*left)[0].file) == "aa");
    CHECK((*left)[1].path.text() == "d/b c");
    CHECK(living.left_behind()->empty());
    run = (*left)[0].file.parent_path().parent_path();
    std::filesystem::remove((*left)[0].file);
  }
  // Given back, because its taker did not send all of it.
  CHECK(std::filesystem::exists(run / "d"));
  {
    KeptFiles kept(scratch.path());
    const auto left = kept.left_behind();
    REQUIRE(left->size() == 1);
    std::filesystem::remove((*left)[0].file);
  }
  CHECK_FALSE(std::filesystem::exists(run));
  CHECK(living.left_behind()->empty());
}

}  // namespace
}  // namespace skein
