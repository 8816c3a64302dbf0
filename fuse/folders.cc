#include "fuse/folders.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

namespace skein {
namespace {

std::filesystem::path default_cache_folder() {
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg && *xdg) return std::filesystem::path(xdg) / "skein";
  const char* home = std::getenv("HOME");
  if (home && *home) return std::filesystem::path(home) / ".cache" / "skein";
  if (::geteuid() == 0) return "/var/cache/skein";
  return "/tmp/skein-" + std::to_string(::geteuid()) + "/cache";
}

}  // namespace

std::filesystem::path cache_folder(const Config& config) {
  const std::string& set = config.text("mount.cache_dir");
  return std::filesystem::absolute(set.empty() ? default_cache_folder()
                                               : std::filesystem::path(set));
}

std::filesystem::path spool_folder(const Config& config) {
  const std::string& set = config.text("mount.spool_dir");
  return set.empty() ? cache_folder(config) / "spool" : std::filesystem::absolute(set);
}

}  // namespace skein
