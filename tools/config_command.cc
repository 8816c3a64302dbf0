#include <memory>

#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/json_line.h"
#include "tools/printable.h"

namespace skein {
namespace {

ExitStatus run_config(bool json, const Surroundings& with) {
  Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft});
  for (const KnownSetting& known : known_settings()) {
    const Setting& setting = with.config.get(known.key);
    if (json) {
      with.out.line(JsonLine()
                        .text("key", known.key)
                        .text("value", setting.value)
                        .text("origin", setting.origin)
                        .text("help", known.help)
                        .str());
    } else {
      table.add({std::string(known.key), setting.value.empty() ? "-" : printable(setting.value),
                 printable(setting.origin)});
    }
  }
  with.out.write(table.text());
  return ExitStatus::kDone;
}

}  // namespace

Command add_config(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "config",
       .usage = "[options]",
       .summary = "effective settings and where each comes from",
       .description =
           "Shows each setting, its value and its origin. Later wins: default, the file\n"
           "/etc/skein/skein.toml, ~/.config/skein/skein.toml ($SKEIN_CONFIG names one file in\n"
           "place of both), environment (SKEIN_CLUSTER, SKEIN_MOUNT_CACHE_DIR, ...), flag.",
       .example = "skein --cluster lab config",
       .exit_status = "0 shown; 1 output failed; 2 wrong usage, or a setting is wrong"});
  auto json = std::make_shared<bool>(false);
  add_json_flag(*app, *json, "setting: key, value, origin, help");
  return {app, [json](const Surroundings& with) { return run_config(*json, with); }};
}

}  // namespace skein
