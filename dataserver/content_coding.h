// Content-Encoding of request bodies: gzip (PYME's clients send it for results) and zstd.
// Memory is bounded whatever the body says. One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "core/error.h"

namespace skein {

class Decoder {
 public:
  using Give = std::function<Result<void>(std::span<const char>)>;

  virtual ~Decoder() = default;
  // Decodes a piece and gives the outcome on. Errors: bad_message (malformed, text after the end);
  // those of `give`.
  virtual Result<void> take(std::span<const char> piece, const Give& give) = 0;
  // True if the coded text ended where the body ends.
  virtual bool complete() const = 0;
};

// `coding` as in the header field, "identity" and "" excepted. nullptr: not known.
std::unique_ptr<Decoder> make_decoder(std::string_view coding);

}  // namespace skein
