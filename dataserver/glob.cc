#include "dataserver/glob.h"

#include <fnmatch.h>

#include <algorithm>
#include <span>

#include "core/path.h"
#include "dataserver/beneath.h"
#include "dataserver/directory_scan.h"

namespace skein {
namespace {

bool is_pattern(const std::string& part) { return part.find_first_of("*?[") != std::string::npos; }

class Search {
 public:
  explicit Search(int root) : root_(root) {}

  Result<void> descend(const ClusterPath& at, std::span<const std::string> parts) {
    if (parts.empty()) {
      matches_.push_back(at.text());
      if (matches_.size() <= kMaxGlobMatches) return {};
      return Error{std::errc::file_too_large, "pattern matches too many names"};
    }
    if (!is_pattern(parts.front())) return step(at, parts.front(), parts.subspan(1));
    const auto directory = open_directory(root_, at, Missing::kFail);
    if (!directory) return {};
    const auto names = names_in(directory->get());
    if (!names) return {};
    for (const ScannedName& entry : *names) {
      if (::fnmatch(parts.front().c_str(), entry.name.c_str(), FNM_PERIOD | FNM_NOESCAPE) != 0) {
        continue;
      }
      if (auto stepped = step(at, entry.name, parts.subspan(1)); !stepped) return stepped;
    }
    return {};
  }

  std::vector<std::string> take_matches() {
    std::sort(matches_.begin(), matches_.end());
    return std::move(matches_);
  }

 private:
  Result<void> step(const ClusterPath& at, const std::string& name,
                    std::span<const std::string> rest) {
    const auto child = at.child(name);
    if (!child || child->is_private()) return {};
    const auto found = find_beneath(root_, *child);
    if (!found || !*found || (*found)->kind == Found::Kind::kOther) return {};
    if (!rest.empty() && (*found)->kind != Found::Kind::kDirectory) return {};
    return descend(*child, rest);
  }

  const int root_;
  std::vector<std::string> matches_;
};

}  // namespace

Result<std::vector<std::string>> glob(int root, const std::string& pattern) {
  bool climbed = false;
  const auto parsed = ClusterPath::parse(pattern, &climbed);
  if (!parsed) return parsed.error();
  if (climbed || parsed->is_root()) return std::vector<std::string>();
  Search search(root);
  if (auto searched = search.descend(ClusterPath(), parsed->components()); !searched) {
    return searched.error();
  }
  return search.take_matches();
}

}  // namespace skein
