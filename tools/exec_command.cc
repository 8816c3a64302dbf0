// skein mount, skein serve: this process becomes skein-mount or skein-dataserver.
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/program.h"

namespace skein {
namespace {

ExitStatus become(const std::string& name, bool takes_nodes, const std::vector<std::string>& rest,
                  const Surroundings& with) {
  const auto program = find_program(name);
  if (!program) {
    with.messages.failure(program.error().what);
    return ExitStatus::kSomeFailed;
  }
  std::vector<std::string> words{*program};
  if (with.flags.cluster) words.insert(words.end(), {"--cluster", *with.flags.cluster});
  if (!with.flags.nodes.empty() && !takes_nodes) {
    with.messages.failure("--node does not go with it: a data server asks no other");
    return ExitStatus::kWrongUsage;
  }
  for (const std::string& node : with.flags.nodes) words.insert(words.end(), {"--node", node});
  if (with.flags.timeout_ms) {
    ::setenv("SKEIN_DEADLINE_MS", std::to_string(*with.flags.timeout_ms).c_str(), 1);
  }
  for (const std::string& word : rest) words.push_back(without_mark(word));
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(program->c_str(), arguments.data());
  with.messages.failure(errno_error(errno, *program).what);
  return ExitStatus::kSomeFailed;
}

Command add_program(CLI::App& parent, const std::string& name, const std::string& program,
                    const std::string& summary) {
  // Everything after the name is the other program's: also --help, and flags of our own names.
  CLI::App* app = parent.add_subcommand(name, summary + " (" + program + ")");
  app->set_help_flag();
  app->prefix_command();
  const bool takes_nodes = program == "skein-mount";
  return {app, [app, program, takes_nodes](const Surroundings& with) {
            return become(program, takes_nodes, app->remaining(), with);
          }};
}

}  // namespace

Command add_mount(CLI::App& parent) {
  return add_program(parent, "mount", "skein-mount", "show the cluster as a folder");
}

Command add_serve(CLI::App& parent) {
  return add_program(parent, "serve", "skein-dataserver", "serve a folder as a node");
}

}  // namespace skein
