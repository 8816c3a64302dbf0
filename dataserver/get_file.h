// The reply to a GET or HEAD of a file: whole or in ranges, unless the client has it already.
#pragma once

#include "core/http_head.h"
#include "dataserver/file_store.h"
#include "dataserver/reply.h"

namespace skein {

// From this size on a body goes by sendfile(2); below, one read and one send are faster.
inline constexpr std::uint64_t kSendfileBytes = 64 * 1024;

// A growing file's size is how much of it counts; what a client may believe of it is its ETag alone,
// since it may change many times within the second that Last-Modified can tell.
// kRewritten: changes in place (tables), so that its time counts as well as its length.
enum class FileKind { kSealed, kGrowing, kRewritten };
Reply file_reply(FileStore::OpenFile file, FileKind kind, std::string_view name, const RequestHead& request);

// True if the request's If-None-Match names `etag`, weakly compared.
bool client_has(const RequestHead& request, std::string_view etag);

}  // namespace skein
