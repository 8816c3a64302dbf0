// The reply to a GET or HEAD of a directory: its listing as JSON, or as a page for a browser,
// packed if the client takes that, unless the client has it already. Thread-safe.
#pragma once

#include "core/http_head.h"
#include "core/path.h"
#include "dataserver/directory_index.h"
#include "dataserver/reply.h"

namespace skein {

// Shorter listings gain nothing by being packed.
inline constexpr std::size_t kMinPackedBytes = 1024;

inline constexpr const char* kListingType = "application/json; charset=utf-8";

// Packed anew for each request: whoever asks again has the ETag, and a cache of packed listings
// would hold what nobody asks for twice.
Reply directory_reply(const DirectoryIndex::View& view, const ClusterPath& path,
                      const RequestHead& request);

// What the reply to a listing with this ETag says in any form of it.
Reply directory_head(const std::string& etag);

// True if the client wants a page more than JSON, as browsers do; "*/*" is satisfied with JSON.
bool wants_page(const RequestHead& request);

}  // namespace skein
