// What a node's reply means: status lines as Errors, headers as facts, bodies as listings.
// Pure functions. Source: docs/wire.md, "GET / HEAD", "PUT", "Stages".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/node_client.h"
#include "core/error.h"
#include "core/http_head.h"

namespace skein {

// Precondition: not a 2xx status. `what` names verb, object and node.
Error status_error(const ResponseHead& head, const std::string& what);

// The first byte and whole size of "bytes 0-99/1000"; size is nullopt for "*".
struct ContentRange {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> size_bytes;
};
std::optional<ContentRange> parse_content_range(std::string_view text);

// Of a GET on a directory, without the names. nullopt: no such directory. Errors: status_error().
Result<std::optional<NodeListing>> listing_of(const ResponseHead& head, const std::string& what);

// Of a HEAD. nullopt: not there. A redirect to the same name with a slash is a directory.
Result<std::optional<FileInfo>> info_of(const ResponseHead& head, const std::string& what);

}  // namespace skein
