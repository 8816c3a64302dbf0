// How one entry of the cluster is shown, the same in every command: as a JSON object, as `ls -l`.
#pragma once

#include <string>

#include "core/entry.h"
#include "tools/json_line.h"

namespace skein {

// {"path":"/a/b.tif","name":"b.tif","type":"file","size_bytes":12}, and for a directory
// {"path":"/a","name":"a","type":"directory","entries":3,"series":true,"complete":false}.
// A growing file of unknown size has size_bytes -1.
JsonLine entry_json(const std::string& path, const std::string& name, const Entry& entry);

// "-r--r--r--" or "dr-xr-xr-x": nothing in a cluster is changed once it is there.
std::string mode_text(const Entry& entry);

// Bytes, or the number of entries of a directory; "growing" where the node does not know.
std::string size_text(const Entry& entry, bool human);

// " [series]" or " [series, complete]" for a directory of frames, else "".
std::string series_text(const Entry& entry);

}  // namespace skein
