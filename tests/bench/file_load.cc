// The load of the mount benchmark: what programs do to files, on any folder.
//
// usage: bench-files create DIRECTORY SIZE_BYTES COUNT   create+write+close of COUNT files
//        bench-files write FILE SIZE_BYTES               one new file in 1 MiB writes, with close
//        bench-files read FILE                           the whole file in 1 MiB reads
//        bench-files random FILE COUNT                   4 KiB reads at random places
//        bench-files list DIRECTORY                      as ls -l: names, then lstat of each
//        bench-files stat DIRECTORY ROUNDS               stat of each name, again and again
// Prints one JSON object. Exit status: 0, or 1 if any call failed.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kMib = std::size_t{1} << 20;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench-files: %s: %s\n", what.c_str(), std::strerror(errno));
  std::_Exit(1);
}

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

void write_file(const std::string& path, const std::vector<char>& block, std::uint64_t size_bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) fail("create " + path);
  for (std::uint64_t done = 0; done < size_bytes;) {
    const ssize_t n = ::write(fd, block.data(), std::min<std::uint64_t>(block.size(), size_bytes - done));
    if (n <= 0) fail("write " + path);
    done += static_cast<std::uint64_t>(n);
  }
  if (::close(fd) != 0) fail("close " + path);
}

void create(const std::string& directory, std::uint64_t size_bytes, long count) {
  const std::vector<char> block(std::min<std::uint64_t>(size_bytes, kMib), 'x');
  const auto start = SteadyClock::now();
  for (long n = 0; n < count; ++n) {
    write_file(directory + "/frame" + std::to_string(n), block, size_bytes);
  }
  std::printf("{\"per_s\":%.6g}\n", static_cast<double>(count) / seconds_since(start));
}

void write_one(const std::string& path, std::uint64_t size_bytes) {
  const std::vector<char> block(kMib, 'x');
  const auto start = SteadyClock::now();
  write_file(path, block, size_bytes);
  std::printf("{\"mb_per_s\":%.6g}\n", static_cast<double>(size_bytes) / 1e6 / seconds_since(start));
}

void read_one(const std::string& path) {
  std::vector<char> block(kMib);
  const auto start = SteadyClock::now();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open " + path);
  std::uint64_t bytes = 0;
  ssize_t n = 0;
  while ((n = ::read(fd, block.data(), block.size())) > 0) bytes += static_cast<std::uint64_t>(n);
  if (n < 0) fail("read " + path);
  ::close(fd);
  std::printf("{\"mb_per_s\":%.6g,\"bytes\":%llu}\n",
              static_cast<double>(bytes) / 1e6 / seconds_since(start),
              static_cast<unsigned long long>(bytes));
}

void read_randomly(const std::string& path, long count) {
  constexpr std::size_t kPage = 4096;
  char page[kPage];
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat st {};
  if (fd < 0 || ::fstat(fd, &st) != 0) fail("open " + path);
  std::mt19937_64 random(1);
  std::uniform_int_distribution<off_t> at(0, st.st_size / static_cast<off_t>(kPage) - 1);
  const auto start = SteadyClock::now();
  for (long n = 0; n < count; ++n) {
    if (::pread(fd, page, kPage, at(random) * static_cast<off_t>(kPage)) !=
        static_cast<ssize_t>(kPage)) {
      fail("read " + path);
    }
  }
  std::printf("{\"per_s\":%.6g}\n", static_cast<double>(count) / seconds_since(start));
}

std::vector<std::string> names_of(const std::string& directory, SteadyClock::time_point start,
                                  double& first_s) {
  DIR* dir = ::opendir(directory.c_str());
  if (dir == nullptr) fail("open " + directory);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir)) {
    if (names.empty()) first_s = seconds_since(start);
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    names.emplace_back(entry->d_name);
  }
  ::closedir(dir);
  return names;
}

void stat_each(const std::string& directory, const std::vector<std::string>& names) {
  const int at = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (const std::string& name : names) {
    struct stat st {};
    if (::fstatat(at, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) fail("stat " + name);
  }
  ::close(at);
}

void list(const std::string& directory) {
  const auto start = SteadyClock::now();
  double first_s = 0;
  const auto names = names_of(directory, start, first_s);
  const double names_s = seconds_since(start);
  stat_each(directory, names);
  std::printf("{\"first_ms\":%.6g,\"names_ms\":%.6g,\"ms\":%.6g,\"entries\":%zu}\n", first_s * 1e3,
              names_s * 1e3, seconds_since(start) * 1e3, names.size());
}

void stat_storm(const std::string& directory, long rounds) {
  double first_s = 0;
  const auto names = names_of(directory, SteadyClock::now(), first_s);
  stat_each(directory, names);
  const auto start = SteadyClock::now();
  for (long n = 0; n < rounds; ++n) stat_each(directory, names);
  std::printf("{\"per_s\":%.6g}\n", static_cast<double>(names.size()) *
                                         static_cast<double>(rounds) / seconds_since(start));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) { return std::strtoull(argv[i], nullptr, 10); };
  if (verb == "create" && argc == 5) {
    create(argv[2], number(3), static_cast<long>(number(4)));
  } else if (verb == "write" && argc == 4) {
    write_one(argv[2], number(3));
  } else if (verb == "read" && argc == 3) {
    read_one(argv[2]);
  } else if (verb == "random" && argc == 4) {
    read_randomly(argv[2], static_cast<long>(number(3)));
  } else if (verb == "list" && argc == 3) {
    list(argv[2]);
  } else if (verb == "stat" && argc == 4) {
    stat_storm(argv[2], static_cast<long>(number(3)));
  } else {
    std::fprintf(stderr, "bench-files: see the head of file_load.cc for usage\n");
    return 1;
  }
  return 0;
}
