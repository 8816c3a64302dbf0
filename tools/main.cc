// skein: the commands of a Skein cluster.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/config.h"
#include "core/fd.h"
#include "core/log.h"
#include "tools/command_line.h"
#include "tools/commands.h"

namespace skein {
namespace {

Result<void> apply_flags(const GlobalFlags& flags, Config& config) {
  if (flags.cluster) {
    if (auto set = config.set("cluster", *flags.cluster, "flag --cluster"); !set) return set;
  }
  if (!flags.nodes.empty()) {
    std::string joined;
    for (const std::string& url : flags.nodes) {
      auto address = parse_node_url(url);
      if (!address) return address.error();
      joined += (joined.empty() ? "" : ",") + ("http://" + address->text());
    }
    if (auto set = config.set("nodes", joined, "flag --node"); !set) return set;
  }
  if (flags.timeout_ms) {
    return config.set("deadline_ms", std::to_string(*flags.timeout_ms), "flag --timeout-ms");
  }
  return {};
}

// CLI11's messages are sentences about the option; some end in a line end.
std::string one_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// Says what is wrong with the command line.
ExitStatus parse_failed(const CLI::App& program, const CLI::ParseError& failure,
                        Messages& messages) {
  const auto chosen = program.get_subcommands();
  const std::string name = chosen.empty() ? "" : " " + chosen.front()->get_name();
  messages.set_speaker("skein" + name);
  const auto extras = program.remaining(true);
  std::string what = one_line(failure.what());
  if (!extras.empty()) {
    const bool is_option = extras.front().starts_with('-');
    const std::string kind = is_option ? "option" : chosen.empty() ? "command" : "argument";
    what = "unknown " + kind + " " + extras.front();
  } else if (chosen.empty() && dynamic_cast<const CLI::RequiredError*>(&failure) != nullptr) {
    what = "no command given";
  }
  messages.failure(what + "; see skein" + name + " --help");
  return ExitStatus::kWrongUsage;
}

ExitStatus run(std::vector<std::string> arguments, Messages& messages, Output& out) {
  auto config = Config::load();
  if (!config) {
    messages.failure(config.error().what);
    return ExitStatus::kWrongUsage;
  }
  GlobalFlags flags;
  CLI::App program;
  set_up_program(program, flags, *config);
  const std::vector<Command> commands{
      add_ls(program),     add_cat(program),   add_get(program),    add_put(program),
      add_append(program), add_seal(program),
      add_stat(program),   add_find(program),  add_locate(program), add_nodes(program),
      add_status(program), add_config(program), add_recover(program), add_up(program),
      add_stream(program), add_series(program), add_mount(program), add_serve(program)};
  accept_find_spelling(arguments);
  keep_brackets(arguments);
  remove_marks(program);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    program.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    out.write(program.help());
    return ExitStatus::kDone;
  } catch (const CLI::CallForVersion& version) {
    out.line(version.what());
    return ExitStatus::kDone;
  } catch (const CLI::ParseError& failure) {
    return parse_failed(program, failure, messages);
  }
  const CLI::App* chosen = program.get_subcommands().front();
  messages.set_speaker("skein " + chosen->get_name());
  if (auto applied = apply_flags(flags, *config); !applied) {
    messages.failure(applied.error().what);
    return ExitStatus::kWrongUsage;
  }
  // What matters reaches the user as a message of the command; the log is for those who ask for it.
  const Setting& level = config->get("log_level");
  const LogOptions log{.level = level.origin == "default" ? "off" : level.value, .file = ""};
  if (auto set = set_up_log("skein", log); !set) {
    messages.failure(set.error().what);
    return ExitStatus::kWrongUsage;
  }
  const auto command = std::find_if(commands.begin(), commands.end(),
                                    [&](const Command& one) { return one.app == chosen; });
  return command->run({flags, *config, messages, out});
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  using namespace skein;
  fill_standard_descriptors();
  // A node that closes its connection is an error of that request, not the end of the program.
  ::signal(SIGPIPE, SIG_IGN);
  Messages messages("skein");
  Output out(STDOUT_FILENO);
  ExitStatus status = run({argv + 1, argv + argc}, messages, out);
  if (auto flushed = out.flush(); !flushed && status == ExitStatus::kDone) {
    messages.failure(flushed.error().what);
    status = ExitStatus::kSomeFailed;
  }
  return static_cast<int>(status);
}
