#include "tools/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/socket.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

bool is_executable(const fs::path& path) {
  std::error_code failed;
  return fs::is_regular_file(path, failed) && ::access(path.c_str(), X_OK) == 0;
}

std::vector<fs::path> places() {
  std::vector<fs::path> places;
  std::error_code failed;
  const fs::path self = fs::read_symlink("/proc/self/exe", failed).parent_path();
  if (!failed) places = {self, self.parent_path() / "fuse", self.parent_path() / "dataserver"};
  const char* given = std::getenv("PATH");
  std::string_view rest = given ? given : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    if (colon != 0) places.emplace_back(rest.substr(0, colon));
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  return places;
}

// In the child, after fork: only calls that are safe in signal handlers.
[[noreturn]] void become(char* const* arguments, int output, int null, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);  // it died before it could be tied to
  ::setpgid(0, 0);
  ::dup2(null, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execv(arguments[0], arguments);
  ::_exit(127);
}

}  // namespace

Result<std::string> find_program(const std::string& name) {
  for (const fs::path& place : places()) {
    if (is_executable(place / name)) return (place / name).string();
  }
  return Error{std::errc::no_such_file_or_directory,
               name + " was found neither beside this program nor in PATH"};
}

Result<Child> Child::start(std::string label, const std::vector<std::string>& command) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error(errno, "pipe for " + label);
  Fd reading(ends[0]);
  const Fd writing(ends[1]);
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return errno_error(errno, "/dev/null");
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error(errno, "start " + label);
  if (pid == 0) become(arguments.data(), writing.get(), null.get(), parent);
  return Child(std::move(label), pid, std::move(reading));
}

Result<std::string> Child::read_line(Deadline deadline) {
  for (;;) {
    const std::size_t end = buffered_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return line;
    }
    if (auto ready = wait_ready(output_.get(), POLLIN, deadline); !ready) return ready.error();
    std::array<char, 4096> piece{};
    const ssize_t got = ::read(output_.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, label_);
    if (got == 0) return Error{std::errc::broken_pipe, label_ + " closed its output"};
    buffered_.append(piece.data(), static_cast<std::size_t>(got));
  }
}

void Child::signal(int number) const {
  if (!ended_) ::kill(pid_, number);
}

std::optional<std::string> Child::how_it_ended() {
  if (!ended_) ended_ = ::waitpid(pid_, &wait_status_, WNOHANG) == pid_;
  if (!ended_) return std::nullopt;
  if (WIFSIGNALED(wait_status_)) {
    return "was killed by signal " + std::to_string(WTERMSIG(wait_status_));
  }
  return "ended with status " + std::to_string(WEXITSTATUS(wait_status_));
}

}  // namespace skein
