// Sends a request with its body: memory by sendmsg, together with the head; a file by sendfile.
#pragma once

#include <chrono>
#include <string_view>

#include "client/node_client.h"
#include "core/error.h"
#include "core/http_stream.h"

namespace skein {

enum class Sending {
  kAll,
  // The peer replied before it had the body; the rest was not sent. The reply's head is in the
  // stream's buffer, and the connection can't be used for another request.
  kRepliedEarly,
};

// Errors: timed_out (pace.h), connection_reset, broken_pipe: the peer can't have the whole body.
// operation_canceled: the caller's file could not be read, or is shorter than promised.
// After an error the connection can't be used. SIGPIPE is not raised.
Result<Sending> send_request(HttpStream& stream, std::string_view head, const PutBody& body,
                             std::chrono::milliseconds timeout,
                             const NodeClient::Progress& progress);

}  // namespace skein
