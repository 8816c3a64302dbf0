#include "dataserver/output_queue.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>

#include "core/scratch_folder.h"

namespace skein {
namespace {

struct Pipe {
  Pipe() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    near = Fd(fds[0]);
    far = Fd(fds[1]);
  }
  std::string receive() const {
    std::string text(1 << 20, 0);
    const ssize_t n = ::recv(far.get(), text.data(), text.size(), MSG_DONTWAIT);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }
  Fd near;
  Fd far;
};

Fd file_of(const ScratchFolder& folder, const std::string& bytes) {
  Fd fd(::open((folder.path() / "f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::pwrite(fd.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

TEST_CASE("output: everything arrives in order, however little the socket takes at a time") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 random(seed);
  ScratchFolder folder;
  std::string bytes(500'000, 0);
  for (char& c : bytes) c = static_cast<char>(random());
  Pipe pipe;
  OutputQueue queue;
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    const std::size_t offset = random() % 1000;
    const std::size_t length = random() % (i % 20 == 0 ? 400'000 : 300);
    const std::string part = bytes.substr(offset, length);
    expected += part;
    switch (random() % 3) {
      case 0: queue.add(part); break;
      case 1: queue.add(std::make_shared<const std::string>(part)); break;
      default: queue.add(FilePart{file_of(folder, bytes), offset, length});
    }
  }
  std::string got;
  while (!queue.empty()) {
    const auto outcome = queue.flush(pipe.near.get(), 0);
    REQUIRE((outcome == OutputQueue::Flush::kBlocked || outcome == OutputQueue::Flush::kDone));
    got += pipe.receive();
  }
  for (std::string rest = pipe.receive(); !rest.empty(); rest = pipe.receive()) got += rest;
  CHECK(got == expected);
  CHECK(queue.bytes() == 0);
  CHECK(queue.large_items() == 0);
  CHECK(queue.sent_bytes() == expected.size());
}

TEST_CASE("output: a file shorter than promised is told, not padded") {
  ScratchFolder folder;
  Pipe pipe;
  OutputQueue queue;
  queue.add(FilePart{file_of(folder, "abc"), 0, 10});
  CHECK(queue.flush(pipe.near.get(), 0) == OutputQueue::Flush::kCut);
  CHECK(pipe.receive() == "abc");
}

TEST_CASE("output: what waits for a ticket, and all behind it, goes when that is released") {
  Pipe pipe;
  OutputQueue queue;
  queue.add("a");
  queue.require(2);
  queue.add("b");
  queue.require(1);
  queue.add("c");
  CHECK(queue.flush(pipe.near.get(), 1) == OutputQueue::Flush::kHeld);
  CHECK(pipe.receive() == "a");
  CHECK(queue.flush(pipe.near.get(), 2) == OutputQueue::Flush::kDone);
  CHECK(pipe.receive() == "bc");
}

TEST_CASE("output: empty texts are nothing") {
  Pipe pipe;
  OutputQueue queue;
  queue.add("");
  CHECK(queue.empty());
}

TEST_CASE("output: a peer that is gone is told") {
  Pipe pipe;
  pipe.far.reset();
  OutputQueue queue;
  queue.add("text");
  CHECK(queue.flush(pipe.near.get(), 0) == OutputQueue::Flush::kBroken);
}

}  // namespace
}  // namespace skein
