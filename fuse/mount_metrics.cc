#include "fuse/mount_metrics.h"

#include <cstring>
#include <iterator>

namespace skein {
namespace {

constexpr const char* kNames[] = {  // in the order of Kind
    "lookup", "mkdir", "rmdir", "unlink", "rename", "link", "symlink", "getattr", "setattr",
    "access", "statfs", "getxattr", "listxattr", "setxattr", "removexattr", "open", "create",
    "mknod", "read", "write", "flush", "fsync", "release", "fallocate", "lseek", "opendir",
    "releasedir", "readdir", "readdirplus"};

void head(std::string& out, const std::string& name, const std::string& help, const char* type) {
  out += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

}  // namespace

void MountMetrics::answered(std::int32_t error) {
  if (error == 0) return;
  const std::int64_t code = -static_cast<std::int64_t>(error);
  ++errors_[code > 0 && code < static_cast<std::int64_t>(kErrors) ? code : 0];
}

void MountMetrics::add_gauge(std::string name, std::string help, std::function<double()> value) {
  gauges_.push_back({std::move(name), std::move(help), std::move(value)});
}

std::string MountMetrics::text() const {
  std::string out;
  head(out, "skein_mount_requests_total", "Requests of the kernel by kind.", "counter");
  static_assert(std::size(kNames) == kKinds);
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    out += "skein_mount_requests_total{kind=\"" + std::string(kNames[kind]) + "\"} " +
           std::to_string(requests_[kind]) + "\n";
  }
  head(out, "skein_mount_refusals_total", "Replies that were an error, by errno.", "counter");
  for (std::size_t code = 1; code < kErrors; ++code) {
    if (errors_[code] == 0) continue;
    const char* const name = ::strerrorname_np(static_cast<int>(code));
    out += "skein_mount_refusals_total{errno=\"" + std::string(name ? name : "unknown") + "\"} " +
           std::to_string(errors_[code]) + "\n";
  }
  for (const Gauge& gauge : gauges_) {
    head(out, gauge.name, gauge.help, "gauge");
    out += gauge.name + " " + std::to_string(gauge.value()) + "\n";
  }
  return out;
}

}  // namespace skein
