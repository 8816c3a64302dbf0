// Ends a series whose recording did not: it was killed, or some of its frames were stored later.
#pragma once

#include "client/upload.h"
#include "core/error.h"
#include "core/path.h"
#include "streamer/series_check.h"

namespace skein {

// Every frame that the metadata promise is there, and only the end is missing. False where they
// leave the number open: nobody knows what the recording would have been.
bool lacks_only_its_end(const SeriesState& state);

// Stores final_metadata.json (the metadata, with the number of frames as they are; no EndTime, which
// nobody knows) and events.json without events: those were in the memory of the recording. `state`
// was just read, the series is not being recorded, and is complete on return.
// Errors: invalid_argument, naming what is in the way (no metadata, a gap among the frames, a
// damaged one, a node that does not answer); as Uploader::upload().
Result<void> end_series(Uploader& uploader, const ClusterPath& path, SeriesState& state);

}  // namespace skein
