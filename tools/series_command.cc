#include <memory>

#include "streamer/series_check.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/grouped.h"
#include "tools/json_line.h"
#include "tools/printable.h"
#include "tools/session.h"
#include "tools/targets.h"

namespace skein {
namespace {

struct SeriesCommandOptions {
  std::vector<std::string> words;  // "check", and the directories
  bool decode = false;
  bool json = false;
};

constexpr std::size_t kMostShown = 10;  // ranges, or damaged frames, on a line for people

std::string sentence(const std::string& shown, const SeriesState& state) {
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

std::string json_text(const std::string& shown, const SeriesState& state) {
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

ExitStatus run_series(const SeriesCommandOptions& options, const Surroundings& with) {
  if (options.words.size() < 2 || options.words.front() != "check") {
    return refuse(with, {std::errc::invalid_argument,
                         "usage: skein series check DIR...; see skein series --help"});
  }
  const auto targets = parse_targets({options.words.begin() + 1, options.words.end()});
  if (!targets) return refuse(with, targets.error());
  const auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  Session& cluster = **session;
  bool all_complete = true;
  for (const Target& target : targets->targets) {
    const auto state =
        check_series(cluster.client(), cluster.downloader(), *cluster.nodes(), target.path,
                     options.decode ? CheckDepth::kPixels : CheckDepth::kNames);
    const std::string shown = target.shown(target.path);
    if (!state) {
      with.messages.failure(shown, without_path(state.error(), target.path));
      continue;
    }
    all_complete &= state->is_complete();
    with.out.line(options.json ? json_text(shown, *state) : sentence(shown, *state));
  }
  return all_complete ? status_of(with.messages) : ExitStatus::kSomeFailed;
}

}  // namespace

Command add_series(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "series",
       .usage = "check [options] DIR...",
       .summary = "say what is missing of recorded series",
       .description =
           "Says for each series whether it is complete, how many of its frames are in the\n"
           "cluster, and which are missing. It is complete when metadata.json, every frame that\n"
           "the metadata promise and the marker events.json are there. A node that does not\n"
           "answer makes the answer uncertain, and so not complete.",
       .example = "skein series check /2024_05_02/run1.pcs",
       .exit_status = "0 all complete; 1 something is missing; 2 wrong usage; 3 no node found"});
  auto options = std::make_shared<SeriesCommandOptions>();
  app->add_option("check DIR", options->words)->required();
  app->add_flag("--decode", options->decode, "read and decode every frame too");
  add_json_flag(*app, options->json,
                "series: path, complete, frames, expected, missing as [first,last], damaged,\n"
                "            metadata, final_metadata, marker, frame_bytes, silent");
  return {app, [options](const Surroundings& with) { return run_series(*options, with); }};
}

}  // namespace skein
