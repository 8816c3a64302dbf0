// Where processes of one host meet: lanes (Unix sockets) and the local registry of nodes.
// Source: systemd's file-hierarchy(7) and the XDG base directory specification.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"

namespace skein {

// $SKEIN_RUN_DIR if set; else /run/skein for root; else $XDG_RUNTIME_DIR/skein; else
// /tmp/skein-UID. Not made by this call.
std::filesystem::path own_run_dir();

// Own run directory first, then /run/skein: a user's mount finds the lanes of a system's servers.
std::vector<std::filesystem::path> visible_run_dirs();

// Makes own_run_dir() (mode 0755), refusing one that another user owns. Errors: as mkdir(2),
// permission_denied.
Result<std::filesystem::path> make_run_dir();

}  // namespace skein
