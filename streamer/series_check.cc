#include "streamer/series_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "client/union_listing.h"
#include "streamer/pzf.h"
#include "streamer/series_layout.h"

namespace skein {
namespace {

constexpr std::uint64_t kMostMetadataBytes = 64 << 20;

Result<std::string> read_file(Downloader& downloader, const ClusterPath& path,
                              std::uint64_t most_bytes) {
  std::string text;
  bool is_whole = true;
  const auto got = downloader.stream(path, [&](std::span<const char> piece) {
    is_whole = text.size() + piece.size() <= most_bytes;
    if (is_whole) text.append(piece.data(), piece.size());
    return is_whole;
  });
  if (!got) return got.error();
  if (!is_whole) return Error{std::errc::file_too_large, path.text() + ": too large"};
  return text;
}

// How many frames the metadata promise; nullopt where a dimension is open.
std::optional<std::uint64_t> promised(const SeriesMetadata& metadata) {
  if (const auto frames = whole_number(metadata, std::string(kFrameCountKey)); frames) {
    return *frames >= 0 ? std::optional(static_cast<std::uint64_t>(*frames)) : std::nullopt;
  }
  std::uint64_t frames = 1;
  for (const char* key : {"SizeC", "SizeZ", "SizeT"}) {
    const auto size = whole_number(metadata, key);
    if (!size || *size < 1 || static_cast<std::uint64_t>(*size) > kMostFrames / frames) {
      return std::nullopt;
    }
    frames *= static_cast<std::uint64_t>(*size);
  }
  return frames;
}

// Why the frame is no good; nullopt if it is.
std::optional<std::string> flaw_of(Downloader& downloader, const ClusterPath& path,
                                   std::uint64_t index) {
  const auto file = read_file(downloader, path, kMostPzfPixelBytes + (kMostPzfPixelBytes >> 2));
  if (!file) return file.error().what;
  const auto frame =
      decode_frame({reinterpret_cast<const std::uint8_t*>(file->data()), file->size()});
  if (!frame) return frame.error().what;
  if (frame->header.frame_number != index) {
    return "says that it is frame " + std::to_string(frame->header.frame_number);
  }
  return std::nullopt;
}

}  // namespace

SeriesState series_state(const Listing& listing, SeriesMetadata metadata) {
  SeriesState state;
  state.promised = promised(metadata);
  state.metadata = std::move(metadata);
  for (const NamedEntry& named : listing.entries()) {
    state.has_metadata |= named.name == kMetadataName;
    state.has_final_metadata |= named.name == kFinalMetadataName;
    state.has_marker |= named.name == kEventsName;
    const auto frame = parse_frame_name(named.name);
    if (!frame || named.entry.is_directory() || frame->index >= kMostFrames) continue;
    state.frames.insert(frame->index);
    state.frame_bytes += static_cast<std::uint64_t>(std::max<std::int64_t>(named.entry.size, 0));
    if (named.entry.size == 0) state.damaged.push_back(named.name + ": empty");
  }
  // PYME writes SizeT 1 whatever it records: what is there counts if it is more.
  state.expected = std::max(state.promised.value_or(0), state.frames.end());
  return state;
}

Result<SeriesState> check_series(NodeClient& client, Downloader& downloader, const NodeList& nodes,
                                 const ClusterPath& path, CheckDepth depth) {
  auto found = list_union(client, nodes, path);
  if (!found) return found.error();
  SeriesMetadata metadata;
  for (const std::string_view name : {kFinalMetadataName, kMetadataName}) {
    if (found->listing.find(name) == nullptr) continue;
    const auto file = path.child(name);
    if (!file) return file.error();
    const auto text = read_file(downloader, *file, kMostMetadataBytes);
    if (!text) return text.error();
    auto parsed = parse_metadata(*text);
    if (!parsed) return Error{parsed.error().code, file->text() + ": " + parsed.error().what};
    metadata = std::move(*parsed);
    break;
  }
  SeriesState state = series_state(found->listing, std::move(metadata));
  state.silent = found->silent;
  if (!state.has_metadata && state.frames.count() == 0) {
    return Error{std::errc::invalid_argument, "no series: it has neither metadata.json nor frames"};
  }
  if (depth == CheckDepth::kNames) return state;
  for (const NamedEntry& named : found->listing.entries()) {
    const auto frame = parse_frame_name(named.name);
    if (!frame || named.entry.is_directory() || named.entry.size == 0) continue;
    const auto file = path.child(named.name);
    const auto flaw = file ? flaw_of(downloader, *file, frame->index) : file.error().what;
    if (flaw) state.damaged.push_back(named.name + ": " + *flaw);
  }
  return state;
}

}  // namespace skein
