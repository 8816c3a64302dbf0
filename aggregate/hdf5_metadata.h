// The metadata of a PYME file: key "a.b.c" is the attribute c of the group /MetaData/a/b. int64,
// float64, bool as an 8-bit field, texts as fixed strings, all else as a pickle of protocol 0.
#pragma once

#include <string>
#include <string_view>

#include "aggregate/hdf5_handle.h"

namespace skein {

// What a flat JSON object says, checked: no value is set before all of it is known to be right.
// Errors: bad_message (no object, a key that cannot be, a value that is too long).
Result<void> check_metadata(std::string_view json);

// Sets those keys; others stay. Precondition: check_metadata(json). Errors: io_error.
Result<void> merge_metadata(hid_t file, std::string_view json);

// All keys as a flat JSON object, sorted; "{}" if there are none. Values that this server cannot
// read are left out.
Result<std::string> metadata_json(hid_t file);

}  // namespace skein
