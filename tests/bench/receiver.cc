// The ceiling of the server benchmark: the least a program can do to receive pipelined PUTs over
// HTTP and write the same files. No checks, no atomic publish, no listing, any verb is a PUT of a
// new file. One thread per connection, replies written when the input is used up.
//
// With --promises it does for each file what the data server promises for it, and nothing else: no
// name before it is whole, its checksum kept with it, read-only. That is the ceiling of a server
// that keeps these promises.
//
// usage: bench-receiver ROOT [--promises]    prints "ready port=N", ends on SIGTERM
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "core/checksum.h"

namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

void write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n <= 0) std::abort();
    data.remove_prefix(static_cast<std::size_t>(n));
  }
}

// A file of that path that has no name yet.
int unnamed_file(int root, const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/'));
  return ::openat(root, folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0640);
}

void publish(int file, int root, const std::string& path, std::uint64_t checksum) {
  struct stat there {};
  ::fstat(file, &there);
  const std::string mark = std::to_string(there.st_size) + " " +
                           std::to_string(there.st_mtim.tv_sec) + " " +
                           skein::checksum_text(checksum);
  if (::fsetxattr(file, "user.skein.bench", mark.data(), mark.size(), 0) != 0 ||
      ::fchmod(file, 0440) != 0 || ::linkat(file, "", root, path.c_str(), AT_EMPTY_PATH) != 0) {
    std::abort();
  }
}

void serve(int root, int socket, bool promises) {
  const auto buffer = std::make_unique<char[]>(kBufferBytes);
  std::size_t begin = 0;
  std::size_t end = 0;
  std::string replies;
  // False when the peer is done. Replies go out before every wait for input.
  const auto fill = [&] {
    if (begin == end) begin = end = 0;
    if (end == kBufferBytes) {
      std::memmove(buffer.get(), buffer.get() + begin, end - begin);
      end -= begin;
      begin = 0;
    }
    ssize_t n = ::recv(socket, buffer.get() + end, kBufferBytes - end, MSG_DONTWAIT);
    if (n < 0) {
      if (!replies.empty()) write_all(socket, replies);
      replies.clear();
      n = ::recv(socket, buffer.get() + end, kBufferBytes - end, 0);
    }
    if (n <= 0) return false;
    end += static_cast<std::size_t>(n);
    return true;
  };
  for (;;) {
    std::string_view input(buffer.get() + begin, end - begin);
    const std::size_t head_end = input.find("\r\n\r\n");
    if (head_end == std::string_view::npos) {
      if (!fill()) break;
      continue;
    }
    const std::string_view head = input.substr(0, head_end);
    const std::size_t length_at = head.find("Content-Length: ");
    std::size_t left = std::strtoull(head.data() + length_at + 16, nullptr, 10);
    const std::string path(head.substr(5, head.find(' ', 5) - 5));
    const int file =
        promises ? unnamed_file(root, path)
                 : ::openat(root, path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0440);
    if (file < 0) std::abort();
    std::optional<skein::Checksum> sum;
    if (promises) sum.emplace();
    begin += head_end + 4;
    while (left > 0) {
      if (begin == end && !fill()) std::abort();
      // Whole blocks: what a partial buffer holds is topped up first.
      while (end - begin < left && end < kBufferBytes && fill()) {
      }
      const std::size_t n = std::min(left, end - begin);
      if (sum) sum->add({buffer.get() + begin, n});
      write_all(file, {buffer.get() + begin, n});
      begin += n;
      left -= n;
    }
    if (sum) publish(file, root, path, sum->value());
    ::close(file);
    replies += "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  }
  if (!replies.empty()) (void)!::write(socket, replies.data(), replies.size());
  ::close(socket);
}

}  // namespace

int main(int argc, char** argv) {
  const bool promises = argc == 3 && std::string_view(argv[2]) == "--promises";
  if (argc != 2 && !promises) return 2;
  const int root = ::open(argv[1], O_DIRECTORY | O_PATH);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (root < 0 || ::bind(listener, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      ::listen(listener, 64) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    std::perror("bench-receiver");
    return 1;
  }
  std::printf("ready port=%d\n", ntohs(at.sin_port));
  std::fflush(stdout);
  for (;;) {
    const int socket = ::accept(listener, nullptr, nullptr);
    if (socket < 0) return 1;
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::thread(serve, root, socket, promises).detach();
  }
}
