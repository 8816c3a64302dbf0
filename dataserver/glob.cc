#include "dataserver/glob.h"

#include <algorithm>
#include <optional>
#include <span>

#include "core/path.h"
#include "dataserver/beneath.h"

namespace skein {
namespace {

// How long the part of a pattern is that stands for one character; '*' counts as one too.
std::size_t token_bytes(std::string_view pattern) {
  if (!pattern.starts_with('[')) return 1;
  std::size_t at = 1;
  if (at < pattern.size() && pattern[at] == '!') ++at;
  // A bracket that comes first is a member.
  const std::size_t end = pattern.find(']', at + 1);
  return end == std::string_view::npos ? 1 : end + 1;
}

bool token_matches(std::string_view token, char c) {
  if (token == "?") return true;
  if (token.size() == 1) return token.front() == c;
  token = token.substr(1, token.size() - 2);
  const bool negated = token.front() == '!';
  if (negated) token.remove_prefix(1);
  const auto code = [](char x) { return static_cast<unsigned char>(x); };
  bool found = false;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (i + 2 < token.size() && token[i + 1] == '-') {
      found = found || (code(token[i]) <= code(c) && code(c) <= code(token[i + 2]));
      i += 2;
    } else {
      found = found || token[i] == c;
    }
  }
  return found != negated;
}

bool is_pattern(const std::string& part) { return part.find_first_of("*?[") != std::string::npos; }

class Search {
 public:
  Search(int root, Deadline deadline, const IsTorn& is_torn)
      : root_(root), deadline_(deadline), is_torn_(is_torn) {}

  Result<void> descend(const ClusterPath& at, std::span<const std::string> parts) {
    if (parts.empty()) {
      matches_.push_back(at.text());
      if (matches_.size() <= kMaxGlobMatches) return {};
      return Error{std::errc::file_too_large, "pattern matches too many names"};
    }
    const auto directory = open_directory(root_, at, Missing::kFail);
    if (!directory) return {};
    if (!is_pattern(parts.front())) {
      return step(at, directory->get(), parts.front(), parts.subspan(1));
    }
    const auto names = names_in(directory->get());
    if (!names) return {};
    for (const ScannedName& entry : *names) {
      if (!matches_name(parts.front(), entry.name)) continue;
      auto stepped = step(at, directory->get(), entry.name, parts.subspan(1));
      if (!stepped) return stepped;
    }
    return {};
  }

  std::vector<std::string> take_matches() {
    std::sort(matches_.begin(), matches_.end());
    return std::move(matches_);
  }

 private:
  Result<void> step(const ClusterPath& at, int directory, const std::string& name,
                    std::span<const std::string> rest) {
    if (deadline_.passed()) return Error{std::errc::timed_out, "the pattern takes too long"};
    const auto child = at.child(name);
    if (!child || child->is_private()) return {};
    const auto found = find_beneath(root_, *child);
    if (!found || !*found || (*found)->kind == Found::Kind::kOther) return {};
    const bool is_file = (*found)->kind == Found::Kind::kFile;
    if (is_file && (!rest.empty() || is_torn_(directory, at, name.c_str(), **found))) return {};
    return descend(*child, rest);
  }

  const int root_;
  const Deadline deadline_;
  const IsTorn& is_torn_;
  std::vector<std::string> matches_;
};

}  // namespace

bool matches_name(std::string_view pattern, std::string_view name) {
  if (name.starts_with('.') && !pattern.starts_with('.')) return false;
  // Of several stars only the last may have to take more: what stood before it fits already.
  std::optional<std::string_view> after_star;
  std::string_view rest_at_star;
  while (!name.empty()) {
    const std::size_t size = pattern.empty() ? 0 : token_bytes(pattern);
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      after_star = pattern;
      rest_at_star = name;
    } else if (size > 0 && token_matches(pattern.substr(0, size), name.front())) {
      pattern.remove_prefix(size);
      name.remove_prefix(1);
    } else if (after_star) {
      rest_at_star.remove_prefix(1);
      name = rest_at_star;
      pattern = *after_star;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*') == std::string_view::npos;
}

Result<std::vector<std::string>> glob(int root, const std::string& pattern, Deadline deadline,
                                      const IsTorn& is_torn) {
  bool climbed = false;
  const auto parsed = ClusterPath::parse(pattern, &climbed);
  if (!parsed) return parsed.error();
  if (climbed || parsed->is_root()) return std::vector<std::string>();
  Search search(root, deadline, is_torn);
  if (auto searched = search.descend(ClusterPath(), parsed->components()); !searched) {
    return searched.error();
  }
  return search.take_matches();
}

}  // namespace skein
