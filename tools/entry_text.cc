#include "tools/entry_text.h"

#include "tools/printable.h"

namespace skein {

JsonLine entry_json(const std::string& path, const std::string& name, const Entry& entry) {
  JsonLine line;
  line.text("path", path).text("name", name);
  if (!entry.is_directory()) return line.text("type", "file").number("size_bytes", entry.size);
  return line.text("type", "directory")
      .number("entries", entry.size)
      .truth("series", (entry.type & Entry::kSeries) != 0)
      .truth("complete", (entry.type & Entry::kSeriesComplete) != 0);
}

std::string mode_text(const Entry& entry) {
  return entry.is_directory() ? "dr-xr-xr-x" : "-r--r--r--";
}

std::string size_text(const Entry& entry, bool human) {
  if (entry.size < 0) return "growing";
  if (human && !entry.is_directory()) return human_size(static_cast<std::uint64_t>(entry.size));
  return std::to_string(entry.size);
}

std::string series_text(const Entry& entry) {
  if (!entry.is_directory()) return "";
  if ((entry.type & Entry::kSeriesComplete) != 0) return " [series, complete]";
  return (entry.type & Entry::kSeries) != 0 ? " [series]" : "";
}

}  // namespace skein
