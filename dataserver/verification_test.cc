#include "dataserver/verification.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "dataserver/scratch_store.h"

using namespace skein;

namespace {

// A verification over files of a folder, and what it told.
struct Verified {
  struct Open {
    Fd fd;
    Found found;
    ClusterPath path;
  };
  Open write(const std::string& name, const std::string& bytes) {
    s.write_by_hand(name, bytes);
    Fd fd(::open(s.on_disk(name).c_str(), O_RDONLY | O_CLOEXEC));
    const Found found = *found_at(fd.get());
    return {std::move(fd), found, s.path(name)};
  }
  auto verdict(const Open& file, std::uint64_t checksum,
               std::chrono::milliseconds wait = std::chrono::seconds(60)) {
    return verification.verdict(file.fd.get(), file.path, file.found, checksum,
                                Deadline::after(wait));
  }
  ScratchStore s;
  std::mutex mutex;
  std::condition_variable told;
  std::vector<std::string> torn;
  bool stopped = false;  // the thread is kept from its work when it tells of a torn file
  Verification verification{[this](const ClusterPath& path, const Found&) {
    std::unique_lock lock(mutex);
    torn.push_back(path.text());
    told.notify_all();
    told.wait_for(lock, std::chrono::seconds(60), [this] { return !stopped; });
  }};
};

}  // namespace

TEST_CASE("verification: zeros of the right length are told from the bytes, and stay known") {
  Verified v;
  const std::string bytes(700'000, 'x');
  const auto whole = v.write("whole", bytes);
  const auto zeros = v.write("zeros", std::string(bytes.size(), '\0'));
  CHECK(v.verification.known(zeros.found) == Verification::Verdict::kUnknown);
  CHECK(*v.verdict(whole, checksum_of(bytes)) == Verification::Verdict::kWhole);
  CHECK(*v.verdict(zeros, checksum_of(bytes)) == Verification::Verdict::kTorn);
  CHECK(v.verification.known(whole.found) == Verification::Verdict::kWhole);
  CHECK(v.verification.known(zeros.found) == Verification::Verdict::kTorn);
  // Not read again.
  CHECK(*v.verdict(whole, 0) == Verification::Verdict::kWhole);
  std::unique_lock lock(v.mutex);
  CHECK(v.told.wait_for(lock, std::chrono::seconds(60), [&] { return !v.torn.empty(); }));
  CHECK(v.torn == std::vector<std::string>{"zeros"});
}

TEST_CASE("verification: a mended file is another one") {
  Verified v;
  const auto zeros = v.write("a", std::string(3, '\0'));
  REQUIRE(*v.verdict(zeros, checksum_of(std::string("abc"))) == Verification::Verdict::kTorn);
  Found mended = zeros.found;
  ++mended.mtime_ns;
  CHECK(v.verification.known(mended) == Verification::Verdict::kUnknown);
}

TEST_CASE("verification: who cannot wait hears that it is unknown, and later the verdict") {
  Verified v;
  const std::string bytes(3 * Verification::kSliceBytes + 1, 'y');
  const auto large = v.write("large", bytes);
  const auto zeros = v.write("zeros", std::string(3, '\0'));
  v.stopped = true;
  REQUIRE(*v.verdict(zeros, 0) == Verification::Verdict::kTorn);
  CHECK(*v.verdict(large, checksum_of(bytes), std::chrono::milliseconds(0)) ==
        Verification::Verdict::kUnknown);
  {
    const std::lock_guard lock(v.mutex);
    v.stopped = false;
    v.told.notify_all();
  }
  CHECK(*v.verdict(large, checksum_of(bytes)) == Verification::Verdict::kWhole);
}

TEST_CASE("verification: ends in the midst of a large file") {
  Verified v;
  const auto large = v.write("large", std::string(3 * Verification::kSliceBytes, 'y'));
  v.verification.begin(large.fd.get(), large.path, large.found, 0);
  CHECK(v.verification.known(large.found) != Verification::Verdict::kWhole);
}
