// What the tree costs for one large directory: run by hand, `tree-bench [names] [folder]`.
// Prints a table; rates are of one thread. Exit status: 0; 1 if the folder cannot be used.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "cache/tree.h"

namespace skein {
namespace {

double seconds(const std::function<void()>& work) {
  const auto begun = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

Listing frames(int count) {
  std::vector<NamedEntry> entries;
  entries.reserve(static_cast<std::size_t>(count));
  char name[32];
  for (int i = 0; i < count; ++i) {
    std::snprintf(name, sizeof name, "frame%07d.pzf", i);
    entries.push_back({name, {0, 524288 + i % 4096}});
  }
  return Listing(std::move(entries));
}

// Resident memory in bytes: of the process itself, and of mapped files.
struct Resident {
  long own = 0, mapped = 0;
};
Resident resident() {
  Resident r;
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    if (word == "RssAnon:") file >> r.own;
    if (word == "RssFile:") file >> r.mapped;
  }
  return {r.own * 1024, r.mapped * 1024};
}

void row(const char* what, double value, const char* unit) {
  std::printf("%-44s %12.2f %s\n", what, value, unit);
}

int run(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 100'000;
  std::string folder = argc > 2 ? argv[2] : "/tmp";
  folder += "/tree-bench-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return std::perror(folder.c_str()), 1;
  Tree::Options options;
  options.folder = folder;
  options.max_bytes = std::uint64_t{4} << 30;
  auto opened = Tree::open(options);
  if (!opened) return std::fprintf(stderr, "%s\n", opened.error().what.c_str()), 1;
  auto tree = std::move(*opened);
  const Inode d = tree->put(kRootInode, "series", {Entry::kDirectory, 0})->inode;
  bool good = true;

  {
    const Listing cold = frames(count), more = frames(count + 1);
    row("store cold, one share", 1e3 * seconds([&] {
          good &= tree->store_listing(d, cold, {{"node1", "e1", cold}}).ok();
        }), "ms");
    const double bytes = static_cast<double>(tree->size_bytes());
    row("  bytes per name on disk", bytes / count, "B");
    row("store again, one name more", 1e3 * seconds([&] {
          good &= tree->store_listing(d, more, {{"node1", "e2", more}}).ok();
        }), "ms");
    row("  bytes per name on disk", static_cast<double>(tree->size_bytes()) / count, "B");
    row("store again, nothing changed", 1e3 * seconds([&] {
          good &= tree->store_listing(d, more, {{"node1", "e2", more}}).ok();
        }), "ms");
  }
  row("shares", 1e3 * seconds([&] { good &= tree->shares(d)->size() == 1; }), "ms");
  row("share_heads", 1e6 * seconds([&] { good &= tree->share_heads(d).ok(); }), "us");
  row("names, pages of 1000", 1e3 * seconds([&] {
        std::size_t seen = 0;
        for (std::string after;;) {
          const auto page = *tree->names(d, after, 1000);
          seen += page.size();
          if (page.size() < 1000) break;
          after = page.back().name;
        }
        good &= seen == static_cast<std::size_t>(count) + 1;
      }), "ms");
  char name[32];
  constexpr int kLookups = 300'000;
  unsigned at = 1;
  row("lookup, random", kLookups / seconds([&] {
        for (int i = 0; i < kLookups; ++i) {
          at = at * 1664525 + 1013904223;
          const unsigned frame = (at >> 8) % static_cast<unsigned>(count);
          std::snprintf(name, sizeof name, "frame%07u.pzf", frame);
          good &= tree->lookup(d, name).has_value();
        }
      }), "/s");
  row("lookup, absent", kLookups / seconds([&] {
        for (int i = 0; i < kLookups; ++i) good &= !tree->lookup(d, "absent").has_value();
      }), "/s");
  constexpr int kPuts = 20'000;
  row("put, new name", kPuts / seconds([&] {
        for (int i = 0; i < kPuts; ++i) {
          std::snprintf(name, sizeof name, "own%07d.tif", i);
          good &= tree->put(d, name, {0, i}).ok();
        }
      }), "/s");
  const Resident memory = resident();
  row("resident, own memory", static_cast<double>(memory.own) / 1048576, "MiB");
  row("resident, mapped files", static_cast<double>(memory.mapped) / 1048576, "MiB");
  row("close (sync to disk)", 1e3 * seconds([&] { tree = nullptr; }), "ms");
  row("open", 1e3 * seconds([&] { good &= Tree::open(options).ok(); }), "ms");
  std::filesystem::remove_all(folder);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) { return skein::run(argc, argv); }
