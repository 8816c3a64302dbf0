#include "core/error.h"

namespace skein {

Error errno_error(int errno_value, const std::string& what) {
  const auto code = static_cast<std::errc>(errno_value);
  return {code, what + ": " + std::make_error_code(code).message()};
}

}  // namespace skein
