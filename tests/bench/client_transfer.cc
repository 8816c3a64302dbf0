// The client's transfers, to be compared with curl on the same server. Prints MB/s or reads/s.
//
// usage: bench-client-transfer get   NODE-URL PATH           whole file, thrown away
//        bench-client-transfer put   NODE-URL PATH FILE      whole file
//        bench-client-transfer small NODE-URL PATH           10,000 whole reads on one connection
#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "client/node_client.h"
#include "core/fd.h"

namespace skein {
namespace {

constexpr int kSmallReads = 10'000;

int fail(const std::string& why) {
  std::fprintf(stderr, "bench-client-transfer: %s\n", why.c_str());
  return 1;
}

int run(int argc, char** argv) {
  const std::vector<std::string> arguments(argv, argv + argc);
  const bool usable = argc == 4 || (argc == 5 && arguments[1] == "put");
  const auto address = usable ? parse_node_url(arguments[2]) : parse_node_url("");
  const auto path = ClusterPath::parse(usable ? arguments[3] : "");
  if (!usable || !address || !path) {
    std::fprintf(stderr, "usage: bench-client-transfer get|put|small NODE-URL PATH [FILE]\n");
    return 2;
  }
  Node node;
  node.address = *address;
  NodeClient client(std::chrono::seconds(10));
  const auto before = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  };
  if (arguments[1] == "get") {
    const auto got = client.stream(node, *path, 0, [](std::span<const char>) { return true; });
    if (!got) return fail(got.error().what);
    std::printf("get %.0f MB/s\n", static_cast<double>(*got) / 1e6 / seconds());
  } else if (arguments[1] == "put") {
    const Fd file(::open(arguments[4].c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st {};
    if (!file || ::fstat(file.get(), &st) != 0) return fail("open " + arguments[4]);
    const auto size = static_cast<std::uint64_t>(st.st_size);
    const auto put = client.put(node, *path, FileRange{file.get(), 0, size});
    if (!put) return fail(put.error().what);
    std::printf("put %.0f MB/s\n", static_cast<double>(size) / 1e6 / seconds());
  } else {
    std::vector<char> room(1 << 16);
    for (int i = 0; i < kSmallReads; ++i) {
      const auto got = client.read(node, *path, 0, room);
      if (!got || *got != room.size()) return fail(got ? "short file" : got.error().what);
    }
    std::printf("small %.0f reads/s\n", kSmallReads / seconds());
  }
  return 0;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) { return skein::run(argc, argv); }
