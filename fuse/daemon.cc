#include "fuse/daemon.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace skein {
namespace {

// What passes through the pipe: one byte, the exit status, then the line.
[[noreturn]] void wait_as_starter(Fd from_daemon, pid_t daemon) {
  std::string report;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(from_daemon.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    report.append(buffer, static_cast<std::size_t>(n));
  }
  int status = EXIT_FAILURE;
  if (!report.empty()) {
    status = static_cast<unsigned char>(report.front());
    if (report.size() > 1) std::fprintf(stderr, "%s\n", report.c_str() + 1);
  } else {
    int ended = 0;
    ::waitpid(daemon, &ended, 0);
    std::fprintf(stderr, "skein-mount: ended without a word (status %d)\n", ended);
  }
  // The copy of the parent's state is not to be torn down twice.
  std::fflush(stderr);
  ::_exit(status);
}

void send_all(int fd, const std::string& report) {
  std::size_t sent = 0;
  while (sent < report.size()) {
    const ssize_t n = ::write(fd, report.data() + sent, report.size() - sent);
    if (n <= 0 && errno != EINTR) return;
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
}

}  // namespace

Result<Daemon> Daemon::start() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  Fd from_daemon(ends[0]);
  Fd to_starter(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return errno_error(errno, "go to the background");
  if (child > 0) {
    to_starter.reset();
    wait_as_starter(std::move(from_daemon), child);
  }
  ::setsid();
  if (::chdir("/") != 0) return errno_error(errno, "chdir /");
  return Daemon(std::move(to_starter));
}

void Daemon::report_ready(const std::string& log_file) {
  if (!to_starter_) return;
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const Fd log(::open(log_file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  for (const int fd : {0, 1}) ::dup2(null.get(), fd);
  ::dup2(log ? log.get() : null.get(), 2);
  send_all(to_starter_.get(), std::string(1, '\0'));
  to_starter_.reset();
}

int Daemon::report_failure(const std::string& line, int exit_status) {
  if (to_starter_) {
    send_all(to_starter_.get(), std::string(1, static_cast<char>(exit_status)) + line);
    to_starter_.reset();
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  return exit_status;
}

}  // namespace skein
