// What a mount does when the system gives it no thread. In a child process, which has given up the
// right to exceed the limit on them.
#include "fuse/spare_thread.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "fuse/read_ahead.h"
#include "fuse/scratch_mount.h"
#include "fuse/space.h"

using namespace skein;

namespace {

constexpr uid_t kNobody = 65534;

// True if `work` held, where no thread can be started.
template <typename Work>
bool holds_without_threads(const Work& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit none{0, 0};
    const bool limited = ::setrlimit(RLIMIT_NPROC, &none) == 0 &&
                         (::geteuid() != 0 || ::setresuid(kNobody, kNobody, kNobody) == 0) &&
                         !spare_thread([] {}).joinable();
    std::signal(SIGABRT, SIG_DFL);
    const auto held = [&]() noexcept { return work(); };  // ends at what it throws
    ::_exit(limited && held() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Node unreachable_node() {
  Node node = dead_node();
  node.id = kId;
  return node;
}

}  // namespace

TEST_CASE("without threads: a reader in sequence is left to read piece by piece") {
  CHECK(holds_without_threads([] {
    ReadAhead ahead(std::make_shared<ChunkMemory>(),
                    [](std::uint64_t, NodeClient::Receiver&) { return Result<void>(); });
    ahead.start(0);
    const auto got = ahead.read(0, 4096, Deadline::after(std::chrono::seconds(10)));
    return !ahead.running() && got && !got->has_value();
  }));
}

TEST_CASE("without threads: a large file is sent when it is closed") {
  ScratchMount mount({unreachable_node()});
  const auto session = mount.begin("f");
  CHECK(holds_without_threads([&] {
    session->wrote(0, 3 * UnsentBytes::kPieceBytes);
    session->wrote(0, 3 * UnsentBytes::kPieceBytes);
    return mount.senders == 0;
  }));
}

TEST_CASE("without threads: df asks one node after the other") {
  ScratchMount mount({unreachable_node()});
  CHECK(holds_without_threads([&] {
    SpaceCounter space(mount.client, mount.membership);
    return space.count().total_bytes == 0 && mount.membership.reported.size() == 1;
  }));
}
