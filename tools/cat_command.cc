#include <memory>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/session.h"
#include "tools/targets.h"

namespace skein {
namespace {

ExitStatus run_cat(const std::vector<std::string>& paths, const Surroundings& with) {
  const auto targets = parse_targets(paths);
  if (!targets) return refuse(with, targets.error());
  auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  for (const Target& target : targets->targets) {
    const auto streamed = (*session)->downloader().stream(
        target.path, [&](std::span<const char> piece) {
          with.out.write(std::string_view(piece.data(), piece.size()));
          return !with.out.failed();
        });
    if (!streamed) {
      with.messages.failure(target.shown(target.path),
                            without_path(streamed.error(), target.path));
    }
    if (with.out.failed()) break;  // main says why
  }
  return status_of(with.messages);
}

}  // namespace

Command add_cat(CLI::App& parent) {
  CLI::App* app = add_command(
      parent, {.name = "cat",
               .usage = "[options] PATH...",
               .summary = "write files to standard output",
               .description = "Writes the files to standard output, one after the other. If one\n"
                              "copy fails, one on another node goes on.",
               .example = "skein cat /2024_05_02/scan/metadata.json | jq ."});
  auto paths = std::make_shared<std::vector<std::string>>();
  app->add_option("PATH", *paths)->required();
  return {app, [paths](const Surroundings& with) { return run_cat(*paths, with); }};
}

}  // namespace skein
