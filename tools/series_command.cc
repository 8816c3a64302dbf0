#include <memory>

#include "streamer/series_check.h"
#include "streamer/series_end.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/series_text.h"
#include "tools/session.h"
#include "tools/targets.h"

namespace skein {
namespace {

struct SeriesCommandOptions {
  std::vector<std::string> words;  // "check", and the directories
  bool decode = false;
  bool json = false;
};

Result<SeriesState> look_at(const SeriesCommandOptions& options, Session& session,
                            const ClusterPath& path) {
  auto state = check_series(session.client(), session.downloader(), *session.nodes(), path,
                            options.decode ? CheckDepth::kPixels : CheckDepth::kNames);
  if (!state || options.words.front() != "complete" || state->has_marker) return state;
  if (auto ended = end_series(session.uploader(), path, *state); !ended) return ended.error();
  return state;
}

ExitStatus run_series(const SeriesCommandOptions& options, const Surroundings& with) {
  const std::string& verb = options.words.front();
  if (options.words.size() < 2 || (verb != "check" && verb != "complete")) {
    return refuse(with, {std::errc::invalid_argument,
                         "usage: skein series check|complete DIR...; see skein series --help"});
  }
  const auto targets = parse_targets({options.words.begin() + 1, options.words.end()});
  if (!targets) return refuse(with, targets.error());
  const auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  bool all_complete = true;
  for (const Target& target : targets->targets) {
    const auto state = look_at(options, **session, target.path);
    const std::string shown = target.shown(target.path);
    if (!state) {
      with.messages.failure(shown, without_path(state.error(), target.path));
      continue;
    }
    all_complete &= state->is_complete();
    with.out.line(options.json ? series_json(shown, *state) : series_sentence(shown, *state));
  }
  return all_complete ? status_of(with.messages) : ExitStatus::kSomeFailed;
}

}  // namespace

Command add_series(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "series",
       .usage = "check [options] DIR...\n"
                "       skein series complete [options] DIR...",
       .summary = "say what is missing of recorded series, or end them",
       .description =
           "Says for each series whether it is complete, how many of its frames are in the\n"
           "cluster, and which are missing. It is complete when metadata.json, every frame that\n"
           "the metadata promise and the marker events.json are there. A node that does not\n"
           "answer makes the answer uncertain, and so not complete.\n"
           "complete: ends a series whose recording was killed, with the frames that are there, if\n"
           "none is missing between the first and the last: stores final_metadata.json and the\n"
           "marker. The recording must have ended, and every node that took part must be up, or its\n"
           "last frames are left out. The recording's events are lost.",
       .example = "skein series check /2024_05_02/run1.pcs",
       .exit_status = "0 all complete; 1 something is missing; 2 wrong usage; 3 no node found"});
  auto options = std::make_shared<SeriesCommandOptions>();
  app->add_option("check|complete DIR", options->words)->required();
  app->add_flag("--decode", options->decode, "read and decode every frame too");
  add_json_flag(*app, options->json,
                "series: path, complete, frames, expected, missing as [first,last], damaged,\n"
                "            metadata, final_metadata, marker, frame_bytes, silent");
  return {app, [options](const Surroundings& with) { return run_series(*options, with); }};
}

}  // namespace skein
