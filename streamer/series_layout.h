// Names of the files of a series (docs/wire.md, "Series").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skein {

inline constexpr std::string_view kMetadataName = "metadata.json";             // before any frame
inline constexpr std::string_view kFinalMetadataName = "final_metadata.json";  // after all frames
inline constexpr std::string_view kEventsName = "events.json";  // last: the series is complete

// In final_metadata.json: how many frames were recorded, where the sizes alone do not tell.
inline constexpr std::string_view kFrameCountKey = "Skein.Frames";
// The length of a recording is bounded by what a reader can list.
inline constexpr std::uint64_t kMostFrames = 100'000'000;

// 42 and ".pzf" -> "frame00042.pzf"; longer from 100,000 on.
std::string frame_name(std::uint64_t index, std::string_view suffix);

struct FrameName {
  std::uint64_t index = 0;
  std::string_view suffix;  // ".pzf" or ".szf", part of the name given
};
// nullopt: not a frame's name, as frame_name() writes it.
std::optional<FrameName> parse_frame_name(std::string_view name);

}  // namespace skein
