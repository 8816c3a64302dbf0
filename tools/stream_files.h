// `skein stream FOLDER TARGET`: the files of a folder, at a pace.
#pragma once

#include "tools/command.h"
#include "tools/session.h"
#include "tools/stream_options.h"
#include "tools/targets.h"

namespace skein {

// Stores the regular files of the folder options.source(), in the order of their names, in the
// directory `target`, as they are. Folders within it are refused.
ExitStatus stream_files(const StreamOptions& options, const Surroundings& with, Session& session,
                        const Target& target);

}  // namespace skein
