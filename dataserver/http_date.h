// The value of the Date field (RFC 9110, section 6.6.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/http_date.h"

namespace skein {

// The text of now, made anew once a second. One thread at a time.
class DateLine {
 public:
  std::string_view text();

 private:
  std::int64_t second_ = -1;
  std::string text_;
};

}  // namespace skein
