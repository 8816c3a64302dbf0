// `skein stream`: files that no node took, or that a killed recording had spilled, lie in the
// recovery folder (streamer/kept_files.h) until they are sent.
#pragma once

#include <filesystem>
#include <string>

#include "tools/command.h"
#include "tools/stream_options.h"

namespace skein {

// The user's own, for each cluster: $XDG_STATE_HOME/skein/stream/CLUSTER. `cluster` may be "", for
// every visible node.
std::filesystem::path default_recovery_folder(const std::string& cluster);

// Sends what ended programs left in options.recovery; its bytes are in the folder until a node has
// them, so that the program may be killed at any time. kSomeFailed: something is left.
ExitStatus send_left_behind(const StreamOptions& options, const Surroundings& with);

// After a recording: a note if the folder holds something, and how to send it.
void say_what_is_left_behind(const std::filesystem::path& folder, const Surroundings& with);

}  // namespace skein
