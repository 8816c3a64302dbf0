// Reads one message body off a stream, in whatever framing its head declared, up to its exact end.
// One thread at a time; the stream outlives the reader.
#pragma once

#include <cstdint>
#include <span>

#include "core/http_head.h"
#include "core/http_stream.h"

namespace skein {

class BodyReader {
 public:
  BodyReader(HttpStream& stream, BodyFraming framing);

  // At least one byte, or 0 when the body is complete. Errors: timed_out (nothing is lost, the call
  // may be repeated); connection_reset (cut short); bad_message (malformed chunk). After the other
  // errors the connection cannot be used further.
  Result<std::size_t> read(std::span<char> into, Deadline deadline);

  // Fills `into` unless the body ends first.
  Result<std::size_t> read_full(std::span<char> into, Deadline deadline);

  bool done() const { return done_; }
  // Bytes left, if the framing says; else 0.
  std::uint64_t known_left() const { return framing_.kind == BodyFraming::Kind::kLength ? left_ : 0; }

 private:
  // What stands next in a chunked body.
  enum class Part { kSize, kData, kEndOfData, kTrailer };

  Result<void> next_chunk(Deadline deadline);
  Result<void> take_size(std::string_view line);
  Result<std::string_view> read_line(Deadline deadline);

  HttpStream& stream_;
  const BodyFraming framing_;
  std::uint64_t left_ = 0;  // of the body, or of the current chunk
  Part part_ = Part::kSize;
  int trailer_lines_ = 0;
  bool done_ = false;
};

}  // namespace skein
