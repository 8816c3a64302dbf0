#include "tests/client/node_process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "core/fd.h"
#include "core/socket.h"

namespace skein {

using namespace std::chrono_literals;

NodeProcess::NodeProcess(const std::filesystem::path& run_folder, const std::filesystem::path& root)
    : root_(root.empty() ? own_root_.path() : root), run_folder_(run_folder) {
  start();
}

NodeProcess::~NodeProcess() {
  if (pid_ > 0) kill();
}

void NodeProcess::signal(int number) {
  REQUIRE(::kill(pid_, number) == 0);
  if (number != SIGSTOP) return;
  siginfo_t info;
  ::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOWAIT);
}

void NodeProcess::kill() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void NodeProcess::start_again() {
  REQUIRE(pid_ < 0);
  start();
}

void NodeProcess::start() {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  Fd output(ends[0]);
  Fd input(ends[1]);
  const std::string root = root_;
  const std::string port = std::to_string(address_.port);
  const std::string run_folder = "SKEIN_RUN_DIR=" + run_folder_.string();
  std::array<const char*, 10> arguments{SKEIN_DATASERVER, "--root", root.c_str(), "--port",
                                        port.c_str(), "--bind", "127.0.0.1", "--advertise",
                                        "none", nullptr};
  std::array<const char*, 2> environment{run_folder.c_str(), nullptr};
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    ::dup2(input.get(), STDOUT_FILENO);
    ::execve(arguments[0], const_cast<char**>(arguments.data()),
             const_cast<char**>(environment.data()));
    ::_exit(127);
  }
  input.reset();
  std::string line;
  const Deadline deadline = Deadline::after(20s);
  while (line.find('\n') == std::string::npos) {
    std::array<char, 512> piece;
    REQUIRE(wait_ready(output.get(), POLLIN, deadline));
    const ssize_t n = ::read(output.get(), piece.data(), piece.size());
    REQUIRE_MESSAGE(n > 0, "the data server ended before it was ready");
    line.append(piece.data(), static_cast<std::size_t>(n));
  }
  const std::size_t url = line.find("url=");
  REQUIRE(url != std::string::npos);
  const auto address = parse_node_url(line.substr(url + 4, line.find(' ', url) - url - 4));
  REQUIRE(address);
  address_ = *address;
}

}  // namespace skein
