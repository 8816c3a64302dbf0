// One HTTP reply before it is written. docs/wire.md: always a Content-Length, each header line with
// exactly one ": " and a value, because PYME's raw client splits at it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/fd.h"

namespace skein {

struct FilePart {
  Fd fd;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// One of the two; text if the file has no descriptor.
struct BodyPart {
  std::string text;
  FilePart file;
};

struct Reply {
  int status = 200;
  std::string fields;  // "Name: value\r\n" each
  // The body is one of these.
  std::string text;
  std::shared_ptr<const std::string> shared;
  std::vector<BodyPart> parts;
  // It was sent in pieces before, and all that is left is to say so, or to close before its end.
  enum class Pieces { kNone, kWhole, kCut };
  Pieces in_pieces = Pieces::kNone;
  bool chunked = false;   // head of one that is: Transfer-Encoding in place of a length
  bool bodiless = false;  // 304: no body and no Content-Length
  bool close = false;     // the connection ends after this reply

  void add_field(std::string_view name, std::string_view value);
  std::uint64_t body_bytes() const;
};

// A refusal with a short text for people.
Reply refusal(int status, std::string_view why);

// The status of a failed operation on the store: 404, 403, 405, 507, 414, 400, 413; else 500.
Reply refusal_of(const Error& error);

// Status line and header fields with the empty line. `keep_alive_1_0`: an HTTP/1.0 client asked for
// the connection to stay.
std::string reply_head(const Reply& reply, std::string_view date, bool keep_alive_1_0);

}  // namespace skein
