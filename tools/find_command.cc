#include <memory>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/entry_text.h"
#include "tools/find_filter.h"
#include "tools/session.h"
#include "tools/targets.h"
#include "tools/tree_walk.h"

namespace skein {
namespace {

struct FindOptions {
  std::vector<std::string> paths;
  std::optional<std::string> name;
  std::optional<std::string> iname;
  std::optional<std::string> type;
  std::optional<std::string> size;
  std::optional<std::size_t> max_depth;
  bool nul = false;
  bool json = false;
};

Result<FindFilter> filter_of(const FindOptions& options) {
  FindFilter filter{options.name, options.iname, {}, {}};
  if (options.type) filter.type = options.type->front();
  if (options.size) {
    auto size = parse_size_test(*options.size);
    if (!size) return size.error();
    filter.size = *size;
  }
  return filter;
}

void find_below(const FindOptions& options, const FindFilter& filter, const Surroundings& with,
                Session& session, const Target& target) {
  const auto show = [&](const ClusterPath& path, const Entry& entry) {
    if (!filter.matches(path.is_root() ? "/" : path.name(), entry)) return;
    const std::string shown = target.shown(path);
    if (options.json) {
      with.out.line(entry_json(shown, path.name(), entry).str());
    } else if (options.nul) {
      with.out.write(shown + '\0');
    } else {
      with.out.line(with.out.name(shown));
    }
  };
  auto found = find_path(session, with.messages, target.path);
  if (!found) return with.messages.failure(target.shown(target.path), found.error());
  show(target.path, found->entry);
  if (!found->entry.is_directory() || options.max_depth == 0u) return;
  walk(session, with.messages, target.path, std::move(found->listing),
       {.visit =
            [&](const ClusterPath& path, const Entry& entry, std::size_t depth) {
              show(path, entry);
              return !with.out.failed() && (!options.max_depth || depth < *options.max_depth);
            },
        .failed =
            [&](const ClusterPath& path, const Error& why) {
              with.messages.failure(target.shown(path), why);
            }});
}

ExitStatus run_find(const FindOptions& options, const Surroundings& with) {
  const auto filter = filter_of(options);
  if (!filter) return refuse(with, filter.error());
  const auto targets = parse_targets(options.paths);
  if (!targets) return refuse(with, targets.error());
  auto session = Session::open(with, targets->cluster);
  if (!session) return refuse(with, session.error());
  for (const Target& target : targets->targets) {
    find_below(options, *filter, with, **session, target);
  }
  return status_of(with.messages);
}

}  // namespace

Command add_find(CLI::App& parent) {
  CLI::App* app = add_command(
      parent, {.name = "find",
               .usage = "[PATH...] [tests]",
               .summary = "search a tree by name, type and size",
               .description = "Prints the path of everything below each PATH (of / if none is\n"
                              "given) that passes all tests. find(1)'s spelling is understood\n"
                              "too: -name, -iname, -type, -size, -maxdepth, -print0.",
               .example = "skein find /2024_05_02 -name '*.tif' -size +100M"});
  auto options = std::make_shared<FindOptions>();
  options->paths = {"/"};
  app->add_option("PATH", options->paths);
  app->add_option("--name", options->name, "last component matches the shell pattern")
      ->type_name("GLOB");
  app->add_option("--iname", options->iname, "the same, without case")->type_name("GLOB");
  app->add_option("--type", options->type, "f file, d directory, s series (directory of frames)")
      ->type_name("f|d|s")
      ->check(CLI::IsMember({"f", "d", "s"}).description(""));
  app->add_option("--size", options->size, "files of more (+), less (-) or exactly N; c, k, M, G")
      ->type_name("[+-]N[ckMG]");
  app->add_option("--maxdepth", options->max_depth, "levels below PATH; 0 = PATH itself")
      ->type_name("N");
  app->add_flag("-0,--print0", options->nul, "end each path with NUL, for xargs -0");
  add_json_flag(*app, options->json, "entry: as `ls --json`");
  return {app, [options](const Surroundings& with) { return run_find(*options, with); }};
}

}  // namespace skein
