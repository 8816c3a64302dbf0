#include "aggregate/append_target.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace skein {
namespace {

constexpr std::string_view kText = "__aggregate_txt";
constexpr std::string_view kTable = "__aggregate_h5r";
constexpr std::string_view kSeries = "__aggregate_h5";

constexpr std::array<std::pair<std::string_view, GrowthKind>, 9> kExtensions = {{
    {".txt", GrowthKind::kText},
    {".csv", GrowthKind::kText},
    {".log", GrowthKind::kText},
    {".json", GrowthKind::kText},
    {".ndjson", GrowthKind::kText},
    {".jsonl", GrowthKind::kText},
    {".hdf", GrowthKind::kTable},
    {".h5r", GrowthKind::kTable},
    {".h5", GrowthKind::kSeries},
}};

Error wrong(std::string why) { return {std::errc::invalid_argument, std::move(why)}; }

// Splits after the first component, from `first` on, whose extension is of `kind`.
Result<AppendTarget> split(const ClusterPath& path, std::size_t first, GrowthKind kind) {
  const auto& names = path.components();
  AppendTarget target;
  target.kind = kind;
  std::size_t at = first;
  bool found = false;
  for (; at < names.size() && !found; ++at) {
    // Components of a path are components of any shorter one.
    target.file = *target.file.child(names[at]);
    found = growth_kind(names[at]) == kind;
  }
  if (!found) return wrong(path.text() + " names no file with a known extension");
  for (; at < names.size(); ++at) {
    target.part += (target.part.empty() ? "" : "/") + names[at];
  }
  return target;
}

Result<AppendTarget> text(const ClusterPath& path, std::size_t first) {
  AppendTarget target;
  for (std::size_t at = first; at < path.components().size(); ++at) {
    target.file = *target.file.child(path.components()[at]);
  }
  return target;
}

// Below _aggregate/ the first known extension says where the file ends; a folder "a.h5" above a
// text file cannot be told from a container.
Result<AppendTarget> below_growing_folder(const ClusterPath& path) {
  const auto& names = path.components();
  for (std::size_t at = 1; at < names.size(); ++at) {
    const auto kind = growth_kind(names[at]);
    if (kind && *kind != GrowthKind::kText) return split(path, 0, *kind);
  }
  if (growth_kind(path.name()) == GrowthKind::kText) return text(path, 0);
  return Error{std::errc::not_supported,
               path.name() + " does not grow: known extensions are .txt .csv .log .json .ndjson "
                             ".jsonl .hdf .h5r .h5"};
}

}  // namespace

std::optional<GrowthKind> growth_kind(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return std::nullopt;
  for (const auto& [extension, kind] : kExtensions) {
    if (name.substr(dot) == extension) return kind;
  }
  return std::nullopt;
}

bool names_append(const ClusterPath& path) {
  if (path.is_root()) return false;
  const std::string& first = path.components().front();
  return first == kGrowingFolder || first == kText || first == kTable || first == kSeries;
}

Result<AppendTarget> parse_append_target(const ClusterPath& path) {
  const auto& names = path.components();
  if (names.size() < 2) return wrong("no file to append to is named");
  const std::string& first = names.front();
  auto target = first == kGrowingFolder ? below_growing_folder(path)
                : first == kText        ? text(path, 1)
                : first == kTable       ? split(path, 1, GrowthKind::kTable)
                                        : split(path, 1, GrowthKind::kSeries);
  if (target && target->file.is_private()) return wrong("this name is private to the server");
  return target;
}

}  // namespace skein
