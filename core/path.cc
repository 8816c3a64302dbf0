#include "core/path.h"

#include "core/percent.h"

namespace skein {
namespace {

Result<void> check_name(std::string_view name) {
  if (name.size() > kMaxNameBytes) {
    return Error{std::errc::filename_too_long,
                 "name of " + std::to_string(name.size()) + " bytes is longer than 255"};
  }
  if (name.find('\0') != std::string_view::npos) {
    return Error{std::errc::invalid_argument, "name holds a NUL byte"};
  }
  return {};
}

}  // namespace

Result<ClusterPath> ClusterPath::parse(std::string_view text, bool* climbed) {
  if (climbed) *climbed = false;
  ClusterPath path;
  std::size_t total_bytes = 0;
  while (!text.empty()) {
    const std::size_t slash = text.find('/');
    const std::string_view name = text.substr(0, slash);
    text.remove_prefix(slash == std::string_view::npos ? text.size() : slash + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (path.is_root() && climbed) *climbed = true;
      if (!path.is_root()) {
        total_bytes -= path.components_.back().size() + 1;
        path.components_.pop_back();
      }
      continue;
    }
    if (auto checked = check_name(name); !checked) return checked.error();
    total_bytes += name.size() + 1;
    if (total_bytes > kMaxPathBytes) {
      return Error{std::errc::filename_too_long, "path is longer than 4095 bytes"};
    }
    path.components_.emplace_back(name);
  }
  return path;
}

Result<ClusterPath> ClusterPath::child(std::string_view name) const {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos) {
    return Error{std::errc::invalid_argument, "not a file name: '" + std::string(name) + "'"};
  }
  if (auto checked = check_name(name); !checked) return checked.error();
  if (text().size() + 1 + name.size() > kMaxPathBytes) {
    return Error{std::errc::filename_too_long, "path is longer than 4095 bytes"};
  }
  ClusterPath path = *this;
  path.components_.emplace_back(name);
  return path;
}

ClusterPath ClusterPath::parent() const {
  ClusterPath path = *this;
  if (!path.is_root()) path.components_.pop_back();
  return path;
}

bool ClusterPath::is_private() const { return !is_root() && components_.front() == kPrivateFolder; }

std::string ClusterPath::text() const {
  std::string out;
  for (const std::string& name : components_) {
    if (!out.empty()) out += '/';
    out += name;
  }
  return out;
}

std::string ClusterPath::target() const { return "/" + percent_encode_path(text()); }

std::string ClusterPath::directory_target() const { return is_root() ? "/" : target() + "/"; }

}  // namespace skein
