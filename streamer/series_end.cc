#include "streamer/series_end.h"

#include <span>
#include <string>
#include <string_view>

#include "streamer/series_layout.h"

namespace skein {
namespace {

constexpr std::size_t kMostShown = 10;  // ranges of frames in an error

Result<void> store(Uploader& uploader, const ClusterPath& folder, std::string_view name,
                   const std::string& text) {
  const auto path = folder.child(name);
  if (!path) return path.error();
  const auto node = uploader.upload(*path, std::span<const char>(text));
  if (!node) return node.error();
  return {};
}

Result<void> check_can_end(const SeriesState& state) {
  const auto refuse = [](const std::string& why) {
    return Error{std::errc::invalid_argument, "cannot be ended: " + why};
  };
  if (!state.silent.empty()) {
    return refuse("no answer from " + state.silent.front().label() + ", which may have frames");
  }
  if (!state.damaged.empty()) return refuse("damaged " + state.damaged.front());
  if (!state.has_metadata) return refuse("it has no metadata.json");
  if (state.frames.count() == 0) return refuse("it has no frames");
  // final_metadata.json was stored when all its frames were there.
  const auto gaps =
      state.frames.missing_below(state.has_final_metadata ? state.expected : state.frames.end());
  if (!gaps.empty()) return refuse("frames are missing: " + text_of(gaps, kMostShown));
  return {};
}

}  // namespace

bool lacks_only_its_end(const SeriesState& state) {
  return !state.has_marker && check_can_end(state) && state.promised == state.frames.count();
}

Result<void> end_series(Uploader& uploader, const ClusterPath& path, SeriesState& state) {
  if (auto can = check_can_end(state); !can) return can;
  if (!state.has_final_metadata) {
    SeriesMetadata metadata = state.metadata;
    metadata.insert_or_assign(std::string(kFrameCountKey),
                              static_cast<std::int64_t>(state.frames.count()));
    close_sizes(metadata, state.frames.count());
    const auto json = metadata_json(metadata);
    if (!json) return json.error();
    if (auto stored = store(uploader, path, kFinalMetadataName, *json); !stored) return stored;
    state.has_final_metadata = true;
    state.metadata = std::move(metadata);
  }
  const auto marker = events_json({});
  if (!marker) return marker.error();
  if (auto stored = store(uploader, path, kEventsName, *marker); !stored) return stored;
  state.has_marker = true;
  state.promised = state.expected = state.frames.count();
  return {};
}

}  // namespace skein
