// Heads of HTTP/1.x messages, parsed strictly (RFC 9112): what two readers could frame differently
// (both Content-Length and chunked, unequal lengths, bare CR, obs-fold, space before a colon) is an
// error, never a guess. Header names compare without case.
//
// Looseness kept on purpose, because PYME's raw writers need it: no Host header is asked for, and
// the target may hold bytes above 0x7f.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

namespace skein {

inline constexpr std::size_t kMaxHeadBytes = 32 * 1024;
inline constexpr std::size_t kMaxHeaderFields = 100;  // PYME's client allows no more either

// How the length of a body is known.
struct BodyFraming {
  enum class Kind { kNone, kLength, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  std::uint64_t length = 0;  // kLength only
};

// Owns its text, so that it outlives the buffer it was read into. Movable.
class HttpHead {
 public:
  // Precondition: a start line was parsed into it.
  std::string_view start_line() const { return start_line_; }
  // First field of that name. Values have no white space around them.
  std::optional<std::string_view> find(std::string_view name) const;
  // True if a field of that name holds `token` in its comma-separated list, without case.
  bool has_token(std::string_view name, std::string_view token) const;
  const std::vector<std::pair<std::string_view, std::string_view>>& fields() const {
    return fields_;
  }

 protected:
  // `text` ends with the empty line. Errors: bad_message.
  Result<void> parse(std::string_view text);
  // Length or chunked, checked; nullopt if neither is given. Errors: bad_message; not_supported
  // for a transfer coding other than chunked.
  Result<std::optional<BodyFraming>> declared_framing() const;

 private:
  std::vector<char> text_;  // a vector keeps its address when moved
  std::string_view start_line_;
  std::vector<std::pair<std::string_view, std::string_view>> fields_;
};

class RequestHead : public HttpHead {
 public:
  // Errors: bad_message (400), protocol_not_supported (505), not_supported (501: transfer coding).
  static Result<RequestHead> parse(std::string_view text);

  std::string_view method() const { return method_; }
  std::string_view target() const { return target_; }
  int minor_version() const { return minor_version_; }  // HTTP/1.<this>
  BodyFraming framing() const { return framing_; }
  bool keep_alive() const { return keep_alive_; }

 private:
  std::string_view method_;
  std::string_view target_;
  int minor_version_ = 1;
  BodyFraming framing_;
  bool keep_alive_ = true;
};

class ResponseHead : public HttpHead {
 public:
  // `method` is the request's: a reply to HEAD has no body. Errors: bad_message.
  static Result<ResponseHead> parse(std::string_view text, std::string_view method);

  int status() const { return status_; }
  std::string_view reason() const { return reason_; }
  BodyFraming framing() const { return framing_; }
  bool keep_alive() const { return keep_alive_; }

 private:
  int status_ = 0;
  std::string_view reason_;
  BodyFraming framing_;
  bool keep_alive_ = true;
};

}  // namespace skein
