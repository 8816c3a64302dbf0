#include "streamer/skein_stream.h"

#include <algorithm>
#include <string>

#include "streamer/c_interface.h"
#include "streamer/series_writer.h"
#include "streamer/skein_log.h"

using skein::Error;
using skein::Result;
using skein::c_interface::deadline_of;
using skein::c_interface::error_text;
using skein::c_interface::fill;
using skein::c_interface::guarded;
using skein::c_interface::owner_of;
using skein::c_interface::say;
using skein::c_interface::wrong;

// Opaque to callers.
struct skein_series {
  std::unique_ptr<skein::SeriesWriter> writer;
  std::vector<std::uint64_t> missing;  // after finish
};

namespace {

// Most numbers that skein_series_missing() can name.
constexpr std::size_t kMostMissing = 1'000'000;

Result<skein::SeriesMetadata> metadata_of(const char* json) {
  if (json == nullptr) return skein::SeriesMetadata{};
  return skein::parse_metadata(json);
}

Result<skein::SeriesOptions> options_of(const skein_series_options& from) {
  const auto refuse = [](const char* why) { return Error{std::errc::invalid_argument, why}; };
  if (from.struct_bytes != sizeof from) return refuse("options: skein_series_options_init() first");
  if (from.path == nullptr || from.dim_order == nullptr) return refuse("options: no path, or order");
  if (from.pixel_type < SKEIN_UINT8 || from.pixel_type > SKEIN_FLOAT32) {
    return refuse("options: unknown pixel type");
  }
  if (from.codec < SKEIN_RAW || from.codec > SKEIN_ZSTD) return refuse("options: unknown codec");
  auto stream = skein::c_interface::stream_options_of(from, skein::kFramesPerChunk);
  if (!stream) return stream.error();
  skein::SeriesOptions options;
  options.stream = std::move(*stream);
  auto path = skein::ClusterPath::parse(from.path);
  if (!path) return path.error();
  options.path = std::move(*path);
  options.type = static_cast<skein::PixelType>(from.pixel_type);
  options.width = from.width;
  options.height = from.height;
  options.depth = from.depth;
  options.coding.codec = static_cast<skein::FrameCodec>(from.codec);
  if (from.quantize != 0) {
    options.coding.quantization =
        skein::SqrtQuantization{from.quantize_offset, from.quantize_scale};
  }
  auto metadata = metadata_of(from.metadata_json);
  if (!metadata) return metadata.error();
  options.metadata = std::move(*metadata);
  options.shape = {from.size_c, from.size_z, from.size_t_};
  options.dim_order = from.dim_order;
  options.encode_threads = from.encode_threads;
  options.encode_queue_bytes = from.queue_bytes;
  return options;
}

Result<skein::FrameView> view_of(const skein_frame& frame, const skein::SeriesOptions& series) {
  const auto refuse = [](const char* why) { return Error{std::errc::invalid_argument, why}; };
  if (frame.struct_bytes != sizeof frame) return refuse("frame: skein_frame_init() first");
  auto view = skein::camera_frame(frame.pixels, series.type, series.width, series.height);
  view.depth = series.depth;
  view.timestamp = frame.timestamp;
  if (frame.strides[0] == 0 && frame.strides[1] == 0 && frame.strides[2] == 0) {
    if (frame.size_bytes != view.size_bytes()) {
      return refuse("frame: its bytes are not the series' size");
    }
  } else {
    std::copy(std::begin(frame.strides), std::end(frame.strides), view.strides.begin());
  }
  return view;
}

int finish(skein_series& series, const char* metadata_json, int wait_ms) {
  const auto more = metadata_of(metadata_json);
  if (!more) return say(more.error());
  const auto outcome = series.writer->finish(*more, deadline_of(wait_ms));
  if (!outcome) return say(outcome.error());
  series.missing.clear();
  if (outcome->complete) return SKEIN_OK;
  for (const auto& failure : outcome->failures) series.missing.push_back(failure.index);
  for (const auto& range : outcome->missing) {
    for (auto i = range.first; i <= range.last && series.missing.size() < kMostMissing; ++i) {
      series.missing.push_back(i);
    }
  }
  std::sort(series.missing.begin(), series.missing.end());
  error_text() = std::to_string(series.missing.size()) + " frames are not stored" +
                 (outcome->failures.empty() ? "" : ": " + outcome->failures[0].error.what);
  return SKEIN_INCOMPLETE;
}

struct LeftBehind {
  std::uint64_t sent = 0;
  std::uint64_t left = 0;
};

int send_left_behind(skein_cluster& cluster, const char* folder, int wait_ms, LeftBehind& counts) {
  skein::FileStreamer::Options options;
  options.recovery_folder = folder;
  skein::FileStreamer streamer(*cluster.membership, cluster.client, std::move(options));
  const auto taken = streamer.send_left_behind();
  if (!taken) return say({std::errc::io_error, taken.error().what});
  const auto finished = streamer.finish(deadline_of(wait_ms));
  const auto failures = finished ? *finished : streamer.abandon();
  counts = {*taken - failures.size(), failures.size()};
  if (failures.empty()) return SKEIN_OK;
  error_text() = std::to_string(failures.size()) + " files are left behind: " +
                 failures.front().path.text() + ": " + failures.front().error.what;
  return SKEIN_INCOMPLETE;
}

}  // namespace

const char* skein_error_text(void) { return error_text().c_str(); }
const char* skein_version(void) { return SKEIN_VERSION; }

int skein_cluster_open(const char* cluster, const char* nodes, int settle_ms,
                       skein_cluster** opened) {
  return guarded([&] {
    skein::log_as_library();
    if (cluster == nullptr || opened == nullptr) return wrong("cluster, or where it goes, is NULL");
    skein::MembershipOptions options;
    options.filter = cluster;
    if (nodes != nullptr) {
      options.mdns = options.registry = false;
      const std::string_view list = nodes;
      for (std::size_t at = 0; at < list.size();) {
        const std::size_t comma = std::min(list.find(',', at), list.size());
        auto address = skein::parse_node_url(list.substr(at, comma - at));
        if (!address) return say(address.error());
        options.static_nodes.push_back(std::move(*address));
        at = comma + 1;
      }
    }
    auto made = std::make_unique<skein_cluster>();
    made->membership = skein::Membership::start(std::move(options));
    if (made->membership->wait_settled(deadline_of(settle_ms))->empty()) {
      return say({std::errc::host_unreachable, "no node found"});
    }
    *opened = made.release();
    return static_cast<int>(SKEIN_OK);
  });
}

void skein_cluster_close(skein_cluster* cluster) { delete cluster; }

void skein_series_options_init(skein_series_options* options) {
  *options = {};
  options->struct_bytes = sizeof *options;
  options->pixel_type = SKEIN_UINT16;
  options->depth = 1;
  options->quantize_scale = 1;
  options->size_c = options->size_z = 1;
  options->size_t_ = -1;
  options->dim_order = "XYCZT";
  options->queue_bytes = 256u << 20;
  options->spill_bytes = std::uint64_t{16} << 30;
}

int skein_series_create(skein_cluster* cluster, const skein_series_options* options,
                        skein_series** created) {
  return guarded([&] {
    if (cluster == nullptr || options == nullptr || created == nullptr) return wrong("NULL argument");
    auto made = options_of(*options);
    if (!made) return say(made.error());
    auto writer =
        skein::SeriesWriter::create(*cluster->membership, cluster->client, std::move(*made));
    if (!writer) return say(writer.error());
    *created = new skein_series{std::move(*writer), {}};
    return static_cast<int>(SKEIN_OK);
  });
}

void skein_frame_init(skein_frame* frame) {
  *frame = {};
  frame->struct_bytes = sizeof *frame;
}

int skein_series_submit(skein_series* series, uint64_t index, const skein_frame* frame,
                        int wait_ms) {
  return guarded([&] {
    if (series == nullptr || frame == nullptr) return wrong("NULL argument");
    const auto view = view_of(*frame, series->writer->options());
    if (!view) return say(view.error());
    const auto taken = series->writer->submit(index, *view, deadline_of(wait_ms));
    return taken ? static_cast<int>(SKEIN_OK) : say(taken.error());
  });
}

int skein_series_submit_given(skein_series* series, uint64_t index, const skein_frame* frame,
                              int wait_ms, skein_release_function release, void* context) {
  return guarded([&] {
    auto owner = owner_of(release, context);
    if (series == nullptr || frame == nullptr) return wrong("NULL argument");
    const auto view = view_of(*frame, series->writer->options());
    if (!view) return say(view.error());
    const auto taken =
        series->writer->submit_given(index, *view, std::move(owner), deadline_of(wait_ms));
    return taken ? static_cast<int>(SKEIN_OK) : say(taken.error());
  });
}

int skein_series_event(skein_series* series, const char* name, const char* description,
                       double unix_time) {
  return guarded([&] {
    if (series == nullptr || name == nullptr || description == nullptr) {
      return wrong("NULL argument");
    }
    const auto added = series->writer->add_event({name, description, unix_time});
    return added ? static_cast<int>(SKEIN_OK) : say(added.error());
  });
}

int skein_series_finish(skein_series* series, const char* metadata_json, int wait_ms) {
  return guarded([&] {
    return series == nullptr ? wrong("NULL argument") : finish(*series, metadata_json, wait_ms);
  });
}

size_t skein_series_missing(skein_series* series, uint64_t* indices, size_t most) {
  if (series == nullptr) return 0;
  const std::size_t count = std::min(most, series->missing.size());
  if (count > 0) std::copy_n(series->missing.begin(), count, indices);
  return series->missing.size();
}

int skein_series_counters(skein_series* series, skein_counters* counters) {
  return guarded([&] {
    if (series == nullptr || counters == nullptr || counters->struct_bytes != sizeof *counters) {
      return wrong("counters: set struct_bytes");
    }
    const auto now = series->writer->counters();
    fill(*counters, now.files);
    counters->accepted_frames = now.accepted_frames;
    counters->stored_frames = now.stored_frames;
    counters->failed_frames = now.failed_frames;
    counters->coding_frames = now.encoding.frames;
    return static_cast<int>(SKEIN_OK);
  });
}

int skein_cluster_send_left_behind(skein_cluster* cluster, const char* folder, int wait_ms,
                                   uint64_t* sent, uint64_t* left) {
  return guarded([&] {
    if (cluster == nullptr || folder == nullptr || *folder == '\0') {
      return wrong("no cluster, or no folder");
    }
    LeftBehind counts;
    const int status = send_left_behind(*cluster, folder, wait_ms, counts);
    if (sent != nullptr) *sent = counts.sent;
    if (left != nullptr) *left = counts.left;
    return status;
  });
}

void skein_series_close(skein_series* series) { delete series; }
