// What the kernel asked of the mount since its start, and what it got, for Prometheus (text format
// 0.0.4): requests by kind, refusals by errno, gauges that are asked when somebody looks.
//
// Thread-safe; counting costs two relaxed additions a request.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace skein {

class MountMetrics {
 public:
  enum class Kind {
    kLookup, kMkdir, kRmdir, kUnlink, kRename, kLink, kSymlink, kGetattr, kSetattr, kAccess,
    kStatfs, kGetxattr, kListxattr, kSetxattr, kRemovexattr, kOpen, kCreate, kMknod, kRead,
    kWriteBuf, kFlush, kFsync, kRelease, kFallocate, kLseek, kOpendir, kReleasedir, kReaddir,
    kReaddirplus,
    kKinds
  };
  void asked(Kind kind) {
    requests_[static_cast<std::size_t>(kind)].fetch_add(1, std::memory_order_relaxed);
  }
  // `error` of fuse_out_header, 0 or negative.
  void answered(std::int32_t error);

  // Before the first text(). `value` is called from any thread, never two at once.
  void add_gauge(std::string name, std::string help, std::function<double()> value);

  std::string text() const;

 private:
  static constexpr auto kKinds = static_cast<std::size_t>(Kind::kKinds);
  static constexpr std::size_t kErrors = 134;  // errno ends at 133; 0 counts what is no errno
  using Counter = std::atomic<std::uint64_t>;

  struct Gauge {
    std::string name;
    std::string help;
    std::function<double()> value;
  };
  std::array<Counter, kKinds> requests_{};
  std::array<Counter, kErrors> errors_{};
  std::vector<Gauge> gauges_;
};

}  // namespace skein
