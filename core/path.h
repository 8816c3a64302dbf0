// A path inside the cluster, as a list of checked components. An escape can't be spelled: no
// component is empty, ".", "..", or holds '/' or NUL. The root has no components.
//
// Limits: a component has at most 255 bytes (ext4, xfs, NAME_MAX), the text at most 4095 (PATH_MAX).
// Copying is cheap enough for control paths; all const methods are safe concurrently.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace skein {

inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::size_t kMaxPathBytes = 4095;

// The folder at a node's root that holds its private files: never listed, served or written to.
inline constexpr std::string_view kPrivateFolder = ".skein";

class ClusterPath {
 public:
  ClusterPath() = default;

  // Splits at '/', drops empty components and ".", lets ".." remove its parent. What would climb
  // above the root is dropped, as PYME does; `climbed`, when given, tells that it happened, so that
  // a writer can refuse it. Errors: invalid_argument (NUL), filename_too_long.
  static Result<ClusterPath> parse(std::string_view text, bool* climbed = nullptr);

  // Errors: invalid_argument for a name that is no component, filename_too_long.
  Result<ClusterPath> child(std::string_view name) const;

  bool is_root() const { return components_.empty(); }
  const std::vector<std::string>& components() const { return components_; }
  // Last component; "" for the root.
  std::string name() const { return is_root() ? std::string() : components_.back(); }
  // The root's parent is the root.
  ClusterPath parent() const;
  // True for the node-private folder and everything in it.
  bool is_private() const;

  // "a/b/c"; "" for the root. Relative, so that it can be given to openat2.
  std::string text() const;
  // "/a/b%20c": an HTTP request target. "/" for the root.
  std::string target() const;
  // The target of the directory's listing, with the trailing slash: "/a/b%20c/".
  std::string directory_target() const;

  bool operator==(const ClusterPath&) const = default;
  auto operator<=>(const ClusterPath&) const = default;

 private:
  std::vector<std::string> components_;
};

}  // namespace skein
