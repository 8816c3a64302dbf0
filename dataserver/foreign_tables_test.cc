#include "dataserver/foreign_tables.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <vector>

#include "dataserver/scratch_store.h"

using namespace skein;
using namespace std::chrono_literals;

namespace {

constexpr auto kLong = 60s;

// Readers that are other programs than the one that knows HDF5.
struct Readers {
  explicit Readers(ForeignTables::Options options)
      : tables(*s.store, [this] { ended.fetch_add(1); ended.notify_all(); }, std::move(options)) {}

  std::shared_ptr<TableJob> submit(std::vector<std::string> words) {
    auto job = std::make_shared<TableJob>();
    job->kind = TableJob::Kind::kForeign;
    job->file = s.path("a.h5");
    job->reader_words = std::move(words);
    job->source = Fd(::open(s.on_disk("a.h5").c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(job->source);
    REQUIRE(tables.submit(job));
    return job;
  }
  void wait_for(int jobs) {
    for (int now = ended; now < jobs; now = ended) ended.wait(now);
  }
  static std::string text_of(const TableJob& job) {
    std::string text(job.text.length, '\0');
    REQUIRE(::pread(job.text.fd.get(), text.data(), text.size(), 0) ==
            static_cast<ssize_t>(text.size()));
    return text;
  }

  ScratchStore s;
  const bool made = (s.write_by_hand("a.h5", "bytes"), true);
  std::atomic<int> ended = 0;
  ForeignTables tables;
};

// Leaves this process room for so many more descriptors, as long as this object is there.
class FewDescriptors {
 public:
  explicit FewDescriptors(int room) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    for (;;) {
      taken_.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (static_cast<rlim_t>(taken_.back().get()) >= kMost) break;
    }
    rlimit few = before_;
    few.rlim_cur = kMost + static_cast<rlim_t>(1);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    taken_.resize(taken_.size() - static_cast<std::size_t>(room));
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  static constexpr rlim_t kMost = 100;
  rlimit before_{};
  std::vector<Fd> taken_;
};

}  // namespace

TEST_CASE("foreign tables: what another process writes is the text; how it ends badly is told") {
  Readers readers({.program = "/bin/sh"});
  const auto copied = readers.submit({"sh", "-c", "cat"});
  const auto refused = readers.submit({"sh", "-c", "printf '2 no such table'; exit 3"});
  const auto crashed = readers.submit({"sh", "-c", "kill -9 $$"});
  readers.wait_for(3);
  REQUIRE_FALSE(copied->failure);
  CHECK(Readers::text_of(*copied) == "bytes");
  REQUIRE(refused->failure);
  CHECK(refused->failure->code == std::errc::no_such_file_or_directory);
  REQUIRE(crashed->failure);
  CHECK(crashed->failure->code == std::errc::not_supported);
}

TEST_CASE("foreign tables: a process that takes too long is ended") {
  Readers readers({.program = "/bin/sleep", .longest = 1ms});
  const auto job = readers.submit({"sleep", "1000"});
  readers.wait_for(1);
  REQUIRE(job->failure);
  CHECK(job->failure->code == std::errc::not_supported);
  CHECK(job->failure->what.find("too long") != std::string::npos);
}

TEST_CASE("foreign tables: who waits too long behind others is refused, and may ask again") {
  Readers readers({.program = "/bin/sleep", .longest = kLong, .patience = 1ms});
  std::vector<std::shared_ptr<TableJob>> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(readers.submit({"sleep", "1000"}));
  // Those for which there is a process are not refused; which ones these are is a matter of time.
  const int held = static_cast<int>(ForeignTables::kThreads);
  readers.wait_for(static_cast<int>(jobs.size()) - held);
  int running = 0;
  for (const auto& job : jobs) {
    if (!job->done()) {
      ++running;
      continue;
    }
    REQUIRE(job->failure);
    CHECK(job->failure->code == std::errc::resource_unavailable_try_again);
  }
  CHECK(running <= held);
}

TEST_CASE("foreign tables: want of descriptors is told as that, whichever is the last") {
  Readers readers({.program = "/bin/true"});
  int refused = 0;
  // To the end, or their descriptors would be free at any moment.
  std::vector<std::shared_ptr<TableJob>> jobs;
  for (int room = 0; room < 5; ++room) {
    const auto& job = jobs.emplace_back(std::make_shared<TableJob>());
    job->kind = TableJob::Kind::kForeign;
    job->file = readers.s.path("a.h5");
    job->reader_words = {"true"};
    job->source = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const FewDescriptors few(room);
    REQUIRE(readers.tables.submit(job));
    readers.wait_for(room + 1);
    if (!job->failure) continue;
    ++refused;
    CHECK(job->failure->code == std::errc::too_many_files_open);
  }
  CHECK(refused >= 3);  // of the text, of what ends the wait, of the process
  CHECK(refused < 5);
}
