#include "tools/local_tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace skein {
namespace {

namespace fs = std::filesystem;

Result<std::vector<std::string>> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  fs::directory_iterator entry(folder, failed);
  while (!failed && entry != fs::directory_iterator()) {
    names.push_back(entry->path().filename().string());
    entry.increment(failed);
  }
  if (failed) return Error{std::errc::io_error, failed.message()};
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

void list_local_tree(const fs::path& folder, const ClusterPath& path,
                     std::vector<LocalEntry>& found, const TreeFailure& failed) {
  const auto names = names_in(folder);
  if (!names) return failed(folder, names.error());
  if (names->empty()) found.push_back({folder, path, 0, true});
  for (const std::string& name : *names) {
    const fs::path file = folder / name;
    auto child = path.child(name);
    struct stat link {};
    struct stat info {};
    if (!child) {
      failed(file, child.error());
    } else if (::lstat(file.c_str(), &link) != 0 || ::stat(file.c_str(), &info) != 0) {
      const auto why = static_cast<std::errc>(errno);
      failed(file, {why, std::make_error_code(why).message()});
    } else if (S_ISDIR(link.st_mode)) {
      list_local_tree(file, *child, found, failed);
    } else if (S_ISREG(info.st_mode)) {
      found.push_back({file, std::move(*child), static_cast<std::uint64_t>(info.st_size)});
    } else {
      const char* kind = S_ISDIR(info.st_mode) ? "a link to a folder" : "no regular file";
      failed(file, {std::errc::invalid_argument, std::string(kind) + ", not stored"});
    }
  }
}

}  // namespace skein
