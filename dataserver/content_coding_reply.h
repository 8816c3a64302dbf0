// Content-Encoding of replies: which one a client takes best, and text packed with it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "core/http_head.h"

namespace skein {

enum class Coding { kNone, kGzip, kZstd };

// By the request's Accept-Encoding; zstd before gzip where both are as welcome, because it packs
// listings in a fifth of the time.
Coding choose_coding(const RequestHead& request);

// For the header field. Precondition: not kNone.
std::string_view coding_name(Coding coding);

// Fast levels: listings go over networks that are faster than the best level. Precondition: not
// kNone. Errors: not_enough_memory.
Result<std::string> pack(std::string_view text, Coding coding);

}  // namespace skein
