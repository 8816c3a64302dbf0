#include <filesystem>
#include <fstream>
#include <memory>

#include "streamer/series_writer.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/printable.h"
#include "tools/recording.h"
#include "tools/session.h"
#include "tools/simulated_camera.h"
#include "tools/stream_files.h"
#include "tools/stream_left_behind.h"
#include "tools/stream_options.h"
#include "tools/stream_preflight.h"
#include "tools/targets.h"
#include "tools/tiff_stack.h"

namespace skein {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSimulatedFrames = 100;  // where --frames is not given

Error wrong(const std::string& why) { return {std::errc::invalid_argument, why}; }

Result<SeriesMetadata> read_metadata(const std::string& file) {
  if (file.empty()) return SeriesMetadata{};
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in && !in.eof()) return wrong(file + ": cannot be read");
  auto metadata = parse_metadata(text);
  if (!metadata) return Error{metadata.error().code, file + ": " + metadata.error().what};
  return metadata;
}

Result<SeriesOptions> series_options(const StreamOptions& options, const FrameView& shape,
                                     std::uint64_t frames) {
  const auto coding = options.coding();
  if (!coding) return coding.error();
  SeriesOptions series;
  series.type = shape.type;
  series.width = shape.width;
  series.height = shape.height;
  series.coding = *coding;
  series.shape.t = static_cast<std::int64_t>(frames);
  series.encode_threads = options.threads;
  series.stream.queue_bytes = options.queue_mb << 20;
  series.encode_queue_bytes = options.queue_mb << 20;
  series.stream.place = place_in_chunks(kFramesPerChunk);
  if (options.spill) series.stream.overload = FileStreamer::Overload::kSpill;
  series.stream.spill_bytes = options.spill_mb << 20;
  series.stream.recovery_folder = options.recovery;
  auto metadata = read_metadata(options.metadata);
  if (!metadata) return metadata.error();
  series.metadata = std::move(*metadata);
  if (options.per_second > 0) {
    series.metadata.emplace("Camera.CycleTime", 1.0 / options.per_second);
  }
  return series;
}

Result<std::unique_ptr<FrameSource>> open_source(const StreamOptions& options) {
  if (!options.simulate.empty()) {
    auto size = options.simulated_size();
    if (!size) return size.error();
    return std::unique_ptr<FrameSource>(
        new SimulatedCamera(size->width, size->height, options.seed));
  }
  auto stack = TiffStack::open(options.source());
  if (!stack) return stack.error();
  return std::unique_ptr<FrameSource>(std::move(*stack));
}

std::uint64_t frame_count(const StreamOptions& options, const FrameSource& source) {
  const std::uint64_t most = source.count().value_or(options.count.value_or(kSimulatedFrames));
  return std::min(most, options.count.value_or(most));
}

ExitStatus stream_series(const StreamOptions& options, const Surroundings& with, Session& session,
                         FrameSource& source, const Target& target) {
  const std::uint64_t frames = frame_count(options, source);
  auto series = series_options(options, source.shape(), frames);
  if (!series) return refuse(with, series.error());
  series->path = target.path;
  Recording recording(with, {.noun = "frames",
                             .per_second = options.per_second,
                             .count = frames,
                             .camera_buffer = std::chrono::milliseconds(options.buffer_ms),
                             .json = options.json});
  series->on_frame = [&](const SeriesOptions::Done& done) {
    recording.acknowledged(done.index, done.node, done.error, done.latency);
  };
  const auto writer = SeriesWriter::create(session.membership(), session.client(), *series);
  const std::string shown = target.shown(target.path);
  if (!writer) {
    with.messages.failure(shown, without_path(writer.error(), target.path));
    return ExitStatus::kSomeFailed;
  }
  bool is_complete = false;
  std::uint64_t current = frames;  // the number of `frame`
  FrameSource::Frame frame;
  Recording::Parts parts;
  parts.submit = [&](std::uint64_t index, Deadline deadline) -> Result<std::uint64_t> {
    if (current != index) {
      auto next = source.frame(index);
      if (!next) return next.error();
      frame = std::move(*next);
      current = index;
    }
    auto taken = (*writer)->submit_given(index, frame.view, frame.owner, deadline);
    if (!taken) return taken.error();
    return frame.view.size_bytes();
  };
  parts.progress = [&] {
    const auto counters = (*writer)->counters();
    return Recording::Progress{counters.files, counters.encoding.frames};
  };
  parts.finish = [&](Deadline deadline) -> Result<void> {
    const auto outcome = (*writer)->finish({}, deadline);
    if (!outcome) return outcome.error();
    is_complete = outcome->complete;
    return {};
  };
  if (auto done = recording.run(parts); !done) with.messages.failure(shown, done.error());
  recording.conclude(is_complete, shown);
  return is_complete && recording.lost() == 0 ? status_of(with.messages) : ExitStatus::kSomeFailed;
}

ExitStatus run_stream(StreamOptions options, const Surroundings& with) {
  if (auto checked = options.check(); !checked) return refuse(with, checked.error());
  const auto targets = parse_targets({options.target()});
  if (!targets) return refuse(with, targets.error());
  const Target& target = targets->targets.front();
  if (options.recovery.empty()) {
    options.recovery =
        default_recovery_folder(targets->cluster.value_or(with.config.text("cluster")));
  }
  if (options.left_behind) return send_left_behind(options, with);
  Recording::take_signals();
  std::error_code unknown;
  const bool is_folder = options.simulate.empty() && fs::is_directory(options.source(), unknown);
  std::unique_ptr<FrameSource> source;
  if (!is_folder) {
    auto opened = open_source(options);
    if (!opened) {
      with.messages.failure(opened.error().what);
      return ExitStatus::kSomeFailed;
    }
    source = std::move(*opened);
  }
  const auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  if (!is_folder && options.preflight) {
    return preflight(options, with, **session, *source, frame_count(options, *source));
  }
  const ExitStatus status = is_folder
                                ? stream_files(options, with, **session, target)
                                : stream_series(options, with, **session, *source, target);
  say_what_is_left_behind(options.recovery, with);
  return status;
}

}  // namespace

Command add_stream(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "stream",
       .usage = "[options] SOURCE TARGET\n"
                "       skein stream [options] --simulate WxH TARGET\n"
                "       skein stream --preflight [options] [--simulate WxH | SOURCE]\n"
                "       skein stream --left-behind [--recovery DIR] [--json]",
       .summary = "stream frames into the cluster at a camera's pace",
       .description =
           "Records a series: the pages of a TIFF file, or frames of a simulated sCMOS camera,\n"
           "become the frames of the new series TARGET. A folder's files are stored in the\n"
           "directory TARGET as they are. Files go to all nodes at once over kept connections.\n"
           "With --fps a frame that is not taken while the camera's own buffer lasts is lost,\n"
           "as it would be. Every frame is accounted for: the end says how many were stored and\n"
           "lost, the rate, and the time from submit to acknowledgement. Ctrl-C ends the\n"
           "recording in order. --preflight stores nothing: it answers whether the nodes have the\n"
           "space and, by a test write, the speed for such a recording. What no node took,\n"
           "and what --spill moved there before the recording was killed, lies in the folder of\n"
           "--recovery; --left-behind sends it, leaves a file there until a node has it, and ends the\n"
           "series whose frames are all there then.",
       .example = "skein stream --simulate 2048x2048 --fps 100 --frames 1000 /2024_05_02/run1.pcs",
       .exit_status = "0 everything stored (--preflight: it can be recorded; --left-behind:\n"
                      "             nothing is left); 1 something was lost (it can't; something is);\n"
                      "             2 wrong usage; 3 no node found"});
  auto options = std::make_shared<StreamOptions>();
  options->add_to(*app);
  add_json_flag(*app, options->json,
                "frame or file: index, ok, latency_us and node, or error; a last one: "
                "summary. --left-behind: path, ok, size_bytes and node, or error and kept_as; then\n"
                "            series, as `skein series check --json` tells it");
  return {app, [options](const Surroundings& with) { return run_stream(*options, with); }};
}

}  // namespace skein
