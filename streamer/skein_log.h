// The log of libskein-streamer (skein_log_to() in skein_stream.h).
#pragma once

namespace skein {

// From now on nothing goes to the default logger, which is the program's. Before any thread of the
// library starts; again is nothing.
void log_as_library();

}  // namespace skein
