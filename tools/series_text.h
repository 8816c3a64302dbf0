// What is there of a series, for people and for programs.
#pragma once

#include <string>

#include "streamer/series_check.h"

namespace skein {

// One line: "/run1.pcs: incomplete: 29,999 of 30,000 frames, 234G; missing 17".
std::string series_sentence(const std::string& shown, const SeriesState& state);
// One JSON object.
std::string series_json(const std::string& shown, const SeriesState& state);

}  // namespace skein
