// The writer without a server that appends are measured against: so many processes open a file,
// append one line of 200 bytes and close it, over and over. Prints lines per second of all of them,
// from the moment they start together.
//
// usage: bench-append-loop FILE WRITERS LINES none|publish      (publish: fdatasync before close)
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

bool append_lines(const char* path, long lines, bool flushes) {
  const std::string line = std::string(199, 'x') + "\n";
  for (long i = 0; i < lines; ++i) {
    const int fd = ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      return false;
    }
    if (flushes && ::fdatasync(fd) != 0) return false;
    ::close(fd);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const int writers = std::atoi(argv[2]);
  const long lines = std::atol(argv[3]);
  const bool flushes = std::string_view(argv[4]) == "publish";
  int gate[2];
  if (::pipe(gate) != 0) return 1;
  for (int i = 0; i < writers; ++i) {
    const pid_t child = ::fork();
    if (child < 0) return 1;
    if (child > 0) continue;
    ::close(gate[1]);
    char none = 0;
    // Ends when the parent closes its end: all start together.
    if (::read(gate[0], &none, 1) != 0) ::_exit(1);
    ::_exit(append_lines(argv[1], lines, flushes) ? 0 : 1);
  }
  const auto began = std::chrono::steady_clock::now();
  ::close(gate[1]);
  bool good = true;
  for (int i = 0; i < writers; ++i) {
    int status = 0;
    good = ::wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && good;
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - began;
  std::printf("%.1f\n", static_cast<double>(writers) * static_cast<double>(lines) / spent.count());
  return good ? 0 : 1;
}
