#include "aggregate/append_journal.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/scratch_folder.h"

using namespace skein;

namespace {

AppendRecord record(std::uint64_t sequence, std::uint64_t length = 10) {
  return {sequence, sequence * 10, length, sequence, {}};
}

std::vector<AppendRecord> records(std::uint64_t first, std::uint64_t last) {
  std::vector<AppendRecord> list;
  for (std::uint64_t s = first; s <= last; ++s) list.push_back(record(s));
  return list;
}

std::vector<AppendRecord> joined(std::vector<AppendRecord> a, const std::vector<AppendRecord>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("append journal: path and records are read as they were written, damage is not") {
  const ScratchFolder scratch;
  const Fd folder(::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY));
  const auto path = *ClusterPath::parse("_aggregate/r\xc3\xa4n/log.txt");
  {
    auto made = AppendJournal::create(folder.get(), "j", path);
    REQUIRE(made);
    for (std::uint64_t s = 1; s <= 5; ++s) REQUIRE(made->write(record(s)));
    CHECK(AppendJournal::create(folder.get(), "j", path).error().code == std::errc::file_exists);
  }
  auto opened = AppendJournal::open(folder.get(), "j");
  REQUIRE(opened);
  CHECK(opened->path() == path);
  CHECK(opened->read()->size() == 5);
  const char wrong = '!';
  REQUIRE(::pwrite(opened->fd(), &wrong, 1, 8192 + 2 * 64 + 9) == 1);
  CHECK(opened->read()->size() == 4);
  REQUIRE(opened->erase(record(1)));
  CHECK(opened->read()->size() == 3);
  REQUIRE(::pwrite(opened->fd(), &wrong, 1, 20) == 1);
  CHECK(AppendJournal::open(folder.get(), "j").error().code == std::errc::bad_message);
  CHECK(AppendJournal::open(folder.get(), "k").error().code == std::errc::no_such_file_or_directory);
}

TEST_CASE("append journal: before the ring was full, what follows the first append counts") {
  CHECK(trusted_run({}).empty());
  CHECK(trusted_run(records(1, 7)).size() == 7);
  // A later page came to the disk, one between did not.
  CHECK(trusted_run(joined(records(1, 3), records(9, 500))).size() == 3);
  CHECK(trusted_run(records(2, 7)).empty());
}

TEST_CASE("append journal: of a full ring the half that was flushed counts") {
  const std::uint64_t n = AppendJournal::kRecords;
  // Of 2,000 appends after the last flush the last 100 are there, in place of older ones.
  const auto ring = joined(joined(records(2001, 3096), records(3297, 2 * n - 500)),
                           records(2 * n + 1, 2 * n + 200));
  const auto run = trusted_run(ring);
  REQUIRE(!run.empty());
  CHECK(run.front().sequence == 3297);
  CHECK(run.back().sequence == 2 * n - 500);
}

TEST_CASE("append journal: records whose places do not meet are not one run") {
  auto list = records(1, 6);
  list[4].length = 3;
  CHECK(trusted_run(list).size() == 4);
}
