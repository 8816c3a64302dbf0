// What every command of the program `skein` has and gets. One command is one file,
// <name>_command.cc; commands.h lists them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/config.h"
#include "tools/messages.h"
#include "tools/output.h"

namespace CLI {
class App;
}

namespace skein {

// Documented at the end of each --help.
enum class ExitStatus { kDone = 0, kSomeFailed = 1, kWrongUsage = 2, kNoNode = 3 };

// Flags that every command takes, before or after its name.
struct GlobalFlags {
  std::optional<std::string> cluster;
  std::vector<std::string> nodes;  // as given: URLs or host:port
  std::optional<int> timeout_ms;
  bool quiet = false;
};

// What a command works with; lives in main.
struct Surroundings {
  const GlobalFlags& flags;
  const Config& config;  // with the flags applied
  Messages& messages;
  Output& out;
};

struct Command {
  CLI::App* app = nullptr;  // owned by the parent of the command line
  std::function<ExitStatus(const Surroundings&)> run;
};

// kDone unless a failure was reported.
inline ExitStatus status_of(const Messages& messages) {
  return messages.failures() == 0 ? ExitStatus::kDone : ExitStatus::kSomeFailed;
}

}  // namespace skein
