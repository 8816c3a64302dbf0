#include "core/run_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace skein {
namespace {

constexpr const char* kSystemRunDir = "/run/skein";

}  // namespace

std::filesystem::path own_run_dir() {
  if (const char* given = std::getenv("SKEIN_RUN_DIR"); given && *given) return given;
  if (geteuid() == 0) return kSystemRunDir;
  if (const char* xdg = std::getenv("XDG_RUNTIME_DIR"); xdg && *xdg) {
    return std::filesystem::path(xdg) / "skein";
  }
  return "/tmp/skein-" + std::to_string(geteuid());
}

std::vector<std::filesystem::path> visible_run_dirs() {
  std::vector<std::filesystem::path> dirs{own_run_dir()};
  if (dirs.front() != kSystemRunDir && !std::getenv("SKEIN_RUN_DIR")) {
    dirs.emplace_back(kSystemRunDir);
  }
  return dirs;
}

Result<std::filesystem::path> make_run_dir() {
  const std::filesystem::path dir = own_run_dir();
  if (::mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) {
    return errno_error(errno, "make run directory " + dir.string());
  }
  struct stat st {};
  if (::lstat(dir.c_str(), &st) != 0) return errno_error(errno, "run directory " + dir.string());
  // In a world-writable parent somebody else could have made it first and own what is put there.
  if (!S_ISDIR(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0)) {
    return Error{std::errc::permission_denied,
                 "run directory " + dir.string() + " belongs to another user; set SKEIN_RUN_DIR"};
  }
  return dir;
}

}  // namespace skein
