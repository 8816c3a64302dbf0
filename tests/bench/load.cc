// The load of the server benchmark.
//
// usage: bench-load put HOST PORT PREFIX SIZE_BYTES COUNT CONNECTIONS
//          PUTs COUNT files PREFIX/<connection>.<n> in all, pipelined without waiting for replies
//        bench-load get HOST PORT PATH COUNT CONNECTIONS
//          GETs PATH COUNT times in all, one after another on each kept connection
//        bench-load ask HOST PORT PATH COUNT [ETAG]
//          GETs PATH COUNT times on one kept connection, prints each reply's time
//        bench-load writers HOST PORT PREFIX SIZE_BYTES COUNT CONNECTIONS
//          as put, but each connection waits for a reply before it sends the next file
//        bench-load flushes DIRECTORY SIZE_BYTES COUNT BATCH
//          what the disk can do: COUNT files, BATCH at a time written, flushed by one syncfs(2), given
//          their names, and flushed once more, as a file needs that is seen whole or not at all
//        bench-load scan DIRECTORY
//          the bare getdents + statx loop that listings are compared with
// Prints one JSON object. Exit status: 0, or 1 if any reply was not 2xx/304 or a connection failed.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/http_body.h"
#include "core/http_head.h"
#include "core/http_stream.h"
#include "core/socket.h"

namespace {

using skein::Deadline;
using skein::HttpStream;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{60};

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "bench-load: %s\n", why.c_str());
  std::_Exit(1);
}

struct Target {
  skein::NodeAddress address;
  std::string path;
};

HttpStream connect(const Target& target) {
  auto fd = skein::connect_tcp(target.address, Deadline::after(kPatience));
  if (!fd) fail(fd.error().what);
  return HttpStream(std::move(*fd), std::size_t{1} << 20);
}

// Reads one reply whole; returns the bytes of its body.
std::uint64_t read_reply(HttpStream& stream, std::vector<char>& into) {
  const auto head = stream.read_head(Deadline::after(kPatience));
  if (!head) fail(head.error().what);
  if (!*head) fail("server closed the connection");
  const auto reply = skein::ResponseHead::parse(**head, "GET");
  if (!reply) fail(reply.error().what);
  if (reply->status() / 100 != 2 && reply->status() != 304) {
    fail("status " + std::to_string(reply->status()));
  }
  skein::BodyReader body(stream, reply->framing());
  std::uint64_t total = 0;
  while (!body.done()) {
    const auto n = body.read(into, Deadline::after(kPatience));
    if (!n) fail(n.error().what);
    total += *n;
  }
  return total;
}

// Runs `work(i)` in `count` threads and returns the seconds it took.
template <typename Work>
double timed(int count, Work work) {
  const auto start = SteadyClock::now();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back(work, i);
  }
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

std::string put_head(const Target& target, int connection, long n, std::size_t size) {
  return "PUT /" + target.path + "/" + std::to_string(connection) + "." + std::to_string(n) +
         " HTTP/1.1\r\nHost: bench\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

void put(const Target& target, std::size_t size, long count, int connections, bool wait) {
  const std::string body(size, 'x');
  const double seconds = timed(connections, [&](int c) {
    HttpStream stream = connect(target);
    const long mine = count / connections;
    std::vector<char> scratch(1 << 16);
    std::jthread reader;
    if (!wait) {
      // One end sends, the other receives: two streams on one socket, each used by one thread.
      reader = std::jthread([&, fd = ::dup(stream.fd())] {
        HttpStream replies{skein::Fd(fd)};
        std::vector<char> nothing(1 << 16);
        for (long n = 0; n < mine; ++n) read_reply(replies, nothing);
      });
    }
    for (long n = 0; n < mine; ++n) {
      const auto sent = stream.write(put_head(target, c, n, size), body, Deadline::after(kPatience));
      if (!sent) fail(sent.error().what);
      if (wait) read_reply(stream, scratch);
    }
  });
  const double bytes = static_cast<double>(size) * static_cast<double>(count);
  std::printf("{\"seconds\":%.6f,\"mb_per_s\":%.1f,\"per_s\":%.1f}\n", seconds, bytes / seconds / 1e6,
              static_cast<double>(count) / seconds);
}

void get(const Target& target, long count, int connections) {
  std::atomic<std::uint64_t> bytes{0};
  const double seconds = timed(connections, [&](int) {
    HttpStream stream = connect(target);
    std::vector<char> into(1 << 20);
    const std::string request = "GET /" + target.path + " HTTP/1.1\r\nHost: bench\r\n\r\n";
    for (long n = 0; n < count / connections; ++n) {
      if (auto sent = stream.write(request, Deadline::after(kPatience)); !sent) fail(sent.error().what);
      bytes += read_reply(stream, into);
    }
  });
  std::printf("{\"seconds\":%.6f,\"mb_per_s\":%.1f,\"per_s\":%.1f}\n", seconds,
              static_cast<double>(bytes.load()) / seconds / 1e6, static_cast<double>(count) / seconds);
}

void ask(const Target& target, long count, const std::string& etag) {
  HttpStream stream = connect(target);
  std::vector<char> into(1 << 20);
  const std::string condition = etag.empty() ? "" : "If-None-Match: " + etag + "\r\n";
  const std::string request =
      "GET /" + target.path + " HTTP/1.1\r\nHost: bench\r\n" + condition + "\r\n";
  std::printf("{\"ms\":[");
  std::uint64_t bytes = 0;
  for (long n = 0; n < count; ++n) {
    const auto start = SteadyClock::now();
    if (auto sent = stream.write(request, Deadline::after(kPatience)); !sent) fail(sent.error().what);
    bytes = read_reply(stream, into);
    const auto took = std::chrono::duration<double, std::milli>(SteadyClock::now() - start);
    std::printf("%s%.3f", n == 0 ? "" : ",", took.count());
  }
  std::printf("],\"bytes\":%llu}\n", static_cast<unsigned long long>(bytes));
}

void flushes(const char* name, std::size_t size, long count, long batch) {
  ::mkdir(name, 0755);
  const skein::Fd directory(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string body(size, 'x');
  const double seconds = timed(1, [&](int) {
    for (long n = 0; n < count; n += batch) {
      std::vector<skein::Fd> files;
      for (long i = 0; i < batch; ++i) {
        files.emplace_back(::openat(directory.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0440));
        const ssize_t written = ::write(files.back().get(), body.data(), size);
        if (written != static_cast<ssize_t>(size)) fail("write");
      }
      if (::syncfs(directory.get()) != 0) fail("syncfs");
      for (long i = 0; i < batch; ++i) {
        const std::string file = std::to_string(n + i);
        const int fd = files[static_cast<std::size_t>(i)].get();
        if (::linkat(fd, "", directory.get(), file.c_str(), AT_EMPTY_PATH) != 0) fail("linkat");
      }
      if (::syncfs(directory.get()) != 0) fail("syncfs");
    }
  });
  std::printf("{\"seconds\":%.6f,\"per_s\":%.1f}\n", seconds, static_cast<double>(count) / seconds);
}

void scan(const char* directory) {
  const auto start = SteadyClock::now();
  DIR* dir = ::opendir(directory);
  if (dir == nullptr) fail("cannot open " + std::string(directory));
  long entries = 0;
  std::uint64_t bytes = 0;
  while (const dirent* entry = ::readdir(dir)) {
    struct statx info {};
    if (::statx(::dirfd(dir), entry->d_name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
                STATX_TYPE | STATX_SIZE, &info) == 0) {
      bytes += info.stx_size;
      ++entries;
    }
  }
  ::closedir(dir);
  const auto took = std::chrono::duration<double, std::milli>(SteadyClock::now() - start);
  std::printf("{\"ms\":%.3f,\"entries\":%ld,\"bytes\":%llu}\n", took.count(), entries,
              static_cast<unsigned long long>(bytes));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "scan" && argc == 3) {
    scan(argv[2]);
    return 0;
  }
  if (verb == "flushes" && argc == 6) {
    flushes(argv[2], std::strtoull(argv[3], nullptr, 10), std::atol(argv[4]), std::atol(argv[5]));
    return 0;
  }
  if (argc < 6) fail("see the head of load.cc for usage");
  const Target target{{argv[2], static_cast<std::uint16_t>(std::atoi(argv[3]))}, argv[4]};
  if ((verb == "put" || verb == "writers") && argc == 8) {
    put(target, std::strtoull(argv[5], nullptr, 10), std::atol(argv[6]), std::atoi(argv[7]),
        verb == "writers");
  } else if (verb == "get" && argc == 7) {
    get(target, std::atol(argv[5]), std::atoi(argv[6]));
  } else if (verb == "ask" && argc <= 7) {
    ask(target, std::atol(argv[5]), argc == 7 ? argv[6] : "");
  } else {
    fail("see the head of load.cc for usage");
  }
  return 0;
}
