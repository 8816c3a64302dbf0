// `skein stream --preflight`: can this be recorded for so long?
#pragma once

#include <cstdint>

#include "tools/command.h"
#include "tools/frame_source.h"
#include "tools/session.h"
#include "tools/stream_options.h"

namespace skein {

// Codes a few frames of the source, writes such files to every node at once for a while, as stages
// that nobody sees and that are dropped at the end, and compares rate and free space with what
// `frames` frames at options.per_second need. Prints the reckoning. kDone: it can.
ExitStatus preflight(const StreamOptions& options, const Surroundings& with, Session& session,
                     FrameSource& source, std::uint64_t frames);

}  // namespace skein
