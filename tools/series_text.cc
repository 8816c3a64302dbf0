#include "tools/series_text.h"

#include <algorithm>
#include <vector>

#include "tools/grouped.h"
#include "tools/json_line.h"
#include "tools/printable.h"

namespace skein {
namespace {

constexpr std::size_t kMostShown = 10;  // ranges, or damaged frames, on a line for people

}  // namespace

std::string series_sentence(const std::string& shown, const SeriesState& state) {
  std::string text = printable(shown) + (state.is_complete() ? ": complete: " : ": incomplete: ");
  text += grouped(state.frames.count()) + " of " + grouped(state.expected) + " frames, " +
          human_size(state.frame_bytes);
  const auto missing = state.missing();
  if (!missing.empty()) text += "; missing " + text_of(missing, kMostShown);
  for (std::size_t i = 0; i < std::min(state.damaged.size(), kMostShown); ++i) {
    text += "; damaged " + printable(state.damaged[i]);
  }
  if (state.damaged.size() > kMostShown) {
    text += " and " + std::to_string(state.damaged.size() - kMostShown) + " more";
  }
  if (!state.has_metadata) text += "; no metadata.json";
  if (!state.has_marker) {
    text += "; no events.json: it is being recorded, or its recording ended early";
  }
  for (const Node& node : state.silent) text += "; no answer from " + printable(node.label());
  return text;
}

std::string series_json(const std::string& shown, const SeriesState& state) {
  std::vector<std::string> missing;
  for (const auto& range : state.missing()) {
    missing.push_back("[" + std::to_string(range.first) + "," + std::to_string(range.last) + "]");
  }
  std::vector<std::string> damaged;
  for (const std::string& text : state.damaged) damaged.push_back(json_string(text));
  std::vector<std::string> silent;
  for (const Node& node : state.silent) silent.push_back(json_string(node.url()));
  return JsonLine()
      .text("path", shown)
      .truth("complete", state.is_complete())
      .number("frames", static_cast<std::int64_t>(state.frames.count()))
      .number("expected", static_cast<std::int64_t>(state.expected))
      .json("missing", json_array(missing))
      .json("damaged", json_array(damaged))
      .truth("metadata", state.has_metadata)
      .truth("final_metadata", state.has_final_metadata)
      .truth("marker", state.has_marker)
      .number("frame_bytes", static_cast<std::int64_t>(state.frame_bytes))
      .json("silent", json_array(silent))
      .str();
}

}  // namespace skein
