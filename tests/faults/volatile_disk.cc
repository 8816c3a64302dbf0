// A disk that loses power: one file, MOUNTPOINT/disk, as large as BACKING, to put a loop device on.
// Writes stay in memory until the block layer flushes (fsync); only then they reach BACKING. SIGUSR1
// cuts the power: of the blocks not flushed a random half still reaches BACKING, as a real drive's
// cache may, the others are lost, and every later access fails with EIO.
//
// usage: volatile-disk BACKING MOUNTPOINT SEED    runs in the foreground until unmounted
//
// The kernel here has no device mapper (dm-flakey, dm-log-writes), hence a file system under a loop
// device. One thread, so no locks.
#define FUSE_USE_VERSION 31
#include <fcntl.h>
#include <fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>

namespace {

constexpr std::size_t kBlockBytes = 4096;
using Block = std::array<char, kBlockBytes>;

struct Disk {
  int backing = -1;
  std::uint64_t size_bytes = 0;
  std::mt19937 random;
  std::map<std::uint64_t, Block> unflushed;  // by block number
  bool dead = false;
};

Disk g_disk;  // libfuse's high-level callbacks take no state that outlives a signal as simply
volatile std::sig_atomic_t g_cut = 0;

void on_cut(int) { g_cut = 1; }

bool commit(std::uint64_t number, const Block& block) {
  return ::pwrite(g_disk.backing, block.data(), block.size(),
                  static_cast<off_t>(number * kBlockBytes)) == static_cast<ssize_t>(block.size());
}

// True if the power is gone. Called first in every operation: the cut falls between two of them.
bool powerless() {
  if (g_cut && !g_disk.dead) {
    g_disk.dead = true;
    std::size_t kept = 0;
    for (const auto& [number, block] : g_disk.unflushed) {
      if (g_disk.random() % 2 == 0 && commit(number, block)) ++kept;
    }
    std::fprintf(stderr, "power cut: unflushed=%zu kept=%zu\n", g_disk.unflushed.size(), kept);
    g_disk.unflushed.clear();
  }
  return g_disk.dead;
}

bool is_disk(const char* path) { return std::strcmp(path, "/disk") == 0; }

int get_attributes(const char* path, struct stat* st, fuse_file_info*) {
  *st = {};
  if (is_disk(path)) {
    st->st_mode = S_IFREG | 0600;
    st->st_nlink = 1;
    st->st_size = static_cast<off_t>(g_disk.size_bytes);
    return 0;
  }
  st->st_mode = S_IFDIR | 0700;
  st->st_nlink = 2;
  return std::strcmp(path, "/") == 0 ? 0 : -ENOENT;
}

int open_disk(const char* path, fuse_file_info*) { return is_disk(path) ? 0 : -ENOENT; }

bool load(std::uint64_t number, Block& block) {
  if (const auto found = g_disk.unflushed.find(number); found != g_disk.unflushed.end()) {
    block = found->second;
    return true;
  }
  return ::pread(g_disk.backing, block.data(), block.size(),
                 static_cast<off_t>(number * kBlockBytes)) == static_cast<ssize_t>(block.size());
}

int read_disk(const char*, char* into, std::size_t size, off_t offset, fuse_file_info*) {
  if (powerless()) return -EIO;
  const auto end = std::min<std::uint64_t>(static_cast<std::uint64_t>(offset) + size, g_disk.size_bytes);
  for (auto at = static_cast<std::uint64_t>(offset); at < end;) {
    Block block;
    if (!load(at / kBlockBytes, block)) return -EIO;
    const std::size_t n = std::min<std::uint64_t>(kBlockBytes - at % kBlockBytes, end - at);
    std::memcpy(into + (at - static_cast<std::uint64_t>(offset)), block.data() + at % kBlockBytes, n);
    at += n;
  }
  return static_cast<int>(end - static_cast<std::uint64_t>(offset));
}

int write_disk(const char*, const char* from, std::size_t size, off_t offset, fuse_file_info*) {
  if (powerless()) return -EIO;
  const auto begin = static_cast<std::uint64_t>(offset);
  for (std::uint64_t at = begin; at < begin + size;) {
    const std::size_t n = std::min<std::uint64_t>(kBlockBytes - at % kBlockBytes, begin + size - at);
    Block block;
    if (!load(at / kBlockBytes, block)) return -EIO;
    std::memcpy(block.data() + at % kBlockBytes, from + (at - begin), n);
    g_disk.unflushed[at / kBlockBytes] = block;
    at += n;
  }
  return static_cast<int>(size);
}

int flush_disk(const char*, int, fuse_file_info*) {
  if (powerless()) return -EIO;
  for (const auto& [number, block] : g_disk.unflushed) {
    if (!commit(number, block)) return -EIO;
  }
  g_disk.unflushed.clear();
  return 0;
}

// The loop device punches holes for discarded blocks; what a drive keeps of those is its affair.
int discard(const char*, int, off_t, off_t, fuse_file_info*) { return powerless() ? -EIO : -EOPNOTSUPP; }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: volatile-disk BACKING MOUNTPOINT SEED\n");
    return 2;
  }
  g_disk.backing = ::open(argv[1], O_RDWR | O_CLOEXEC);
  struct stat st {};
  if (g_disk.backing < 0 || ::fstat(g_disk.backing, &st) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  g_disk.size_bytes = static_cast<std::uint64_t>(st.st_size) / kBlockBytes * kBlockBytes;
  g_disk.random.seed(static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10)));
  struct sigaction act {};
  act.sa_handler = on_cut;
  act.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &act, nullptr);

  fuse_operations operations{};
  operations.getattr = get_attributes;
  operations.open = open_disk;
  operations.read = read_disk;
  operations.write = write_disk;
  operations.fsync = flush_disk;
  operations.fallocate = discard;
  std::string program = "volatile-disk";
  std::string foreground = "-f";
  std::string one_thread = "-s";
  std::array<char*, 5> arguments{program.data(), foreground.data(), one_thread.data(), argv[2], nullptr};
  return fuse_main(4, arguments.data(), &operations, nullptr);
}
