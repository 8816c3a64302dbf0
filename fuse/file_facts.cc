#include "fuse/file_facts.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>

#include "core/checksum.h"

namespace skein {
namespace {

constexpr std::string_view kLocations = "user.skein.locations";
constexpr std::string_view kNode = "user.skein.node";
constexpr std::string_view kChecksum = "user.skein.checksum";
constexpr std::string_view kSeries = "user.skein.series";
constexpr std::string_view kIncomplete = "user.skein.incomplete";

constexpr std::size_t kPageNames = 4096;
// Frame numbers have five digits or, past 99999, more.
constexpr std::size_t kLeastDigits = 5;
constexpr std::size_t kMostDigits = 12;

Error nothing() { return {static_cast<std::errc>(ENODATA), "no such attribute"}; }

std::string joined(const std::string& before, const std::string& next) {
  return before.empty() ? next : before + ", " + next;
}

}  // namespace

void FrameCount::add(std::string_view name) {
  has_metadata_ |= name == "metadata.json";
  complete_ |= name == "events.json";
  static constexpr std::array<std::string_view, 2> kSuffixes{".pzf", ".szf"};
  if (!name.starts_with("frame")) return;
  for (const std::string_view suffix : kSuffixes) {
    if (!name.ends_with(suffix)) continue;
    const std::string_view digits = name.substr(5, name.size() - 5 - suffix.size());
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (digits.size() < kLeastDigits || digits.size() > kMostDigits || parsed.ec != std::errc() ||
        parsed.ptr != digits.data() + digits.size()) {
      return;
    }
    ++frames_;
    expected_ = std::max(expected_, number + 1);
  }
}

std::string FrameCount::text() const {
  return "frames=" + std::to_string(frames_) + " expected=" + std::to_string(expected_) +
         " complete=" + (complete_ ? "yes" : "no");
}

Result<std::string> FileFacts::value(Inode inode, std::string_view name) {
  const auto shown = tree_.stat(inode);
  if (!shown) return shown.error();
  Result<std::string> found = nothing();
  if (shown->kind == Shown::Kind::kDirectory) {
    found = of_directory(inode, name);
  } else if (shown->kind != Shown::Kind::kUnsealed) {
    found = of_file(inode, name);
  }
  if (found && found->empty()) return nothing();
  return found;
}

Result<std::string> FileFacts::of_directory(Inode inode, std::string_view name) {
  if (name == kSeries) return series(inode);
  if (name != kIncomplete) return nothing();
  const auto missing = tree_.refresh(inode);
  if (!missing) return missing.error();
  std::string labels;
  for (const Node& node : *missing) labels = joined(labels, node.label());
  return labels;
}

Result<std::string> FileFacts::series(Inode inode) {
  if (const auto fresh = tree_.refresh(inode); !fresh) return fresh.error();
  FrameCount count;
  std::string after;
  for (;;) {
    const auto page = tree_.names(inode, nullptr, after, kPageNames);
    if (!page) return page.error();
    for (const NamedTreeEntry& entry : page->names) count.add(entry.name);
    if (!page->more) break;
    after = page->names.back().name;
  }
  return count.is_series() ? count.text() : std::string();
}

Result<std::string> FileFacts::of_file(Inode inode, std::string_view name) {
  if (name != kLocations && name != kNode && name != kChecksum) return nothing();
  const auto path = tree_.path_of(inode);
  if (!path) return path.error();
  const auto located = finder_.find(*path);
  if (!located) return located.error();
  std::string urls;
  for (const Copy& copy : located->copies) {
    if (name == kNode) return copy.node.label();
    if (name == kChecksum && copy.info.checksum) {
      return "xxh3-64:" + checksum_text(*copy.info.checksum);
    }
    urls = joined(urls, copy.node.url() + path->target().substr(1));
  }
  return name == kLocations ? urls : std::string();
}

Result<std::vector<std::string>> FileFacts::names(Inode inode) {
  const auto shown = tree_.stat(inode);
  if (!shown) return shown.error();
  std::vector<std::string> names;
  if (shown->kind == Shown::Kind::kSealed) {
    names = {std::string(kLocations), std::string(kNode)};
    if (value(inode, kChecksum)) names.emplace_back(kChecksum);
  } else if (shown->kind == Shown::Kind::kGrowing) {
    names = {std::string(kLocations), std::string(kNode)};
  } else if (shown->kind == Shown::Kind::kDirectory) {
    for (const std::string_view name : {kSeries, kIncomplete}) {
      if (value(inode, name)) names.emplace_back(name);
    }
  }
  return names;
}

}  // namespace skein
