// The commands of `skein`. Each function adds one to the command line; its options live as long as
// the returned `run`.
#pragma once

#include "tools/command.h"

namespace skein {

Command add_ls(CLI::App& parent);
Command add_cat(CLI::App& parent);
Command add_get(CLI::App& parent);
Command add_put(CLI::App& parent);
Command add_append(CLI::App& parent);
Command add_seal(CLI::App& parent);
Command add_stat(CLI::App& parent);
Command add_find(CLI::App& parent);
Command add_locate(CLI::App& parent);
Command add_nodes(CLI::App& parent);
Command add_status(CLI::App& parent);
Command add_config(CLI::App& parent);
Command add_recover(CLI::App& parent);
Command add_stream(CLI::App& parent);
Command add_series(CLI::App& parent);
Command add_up(CLI::App& parent);
// `skein mount` and `skein serve`: the programs skein-mount and skein-dataserver.
Command add_mount(CLI::App& parent);
Command add_serve(CLI::App& parent);

}  // namespace skein
