// Log set-up, shared by the programs. Log lines: constant words first, then key=value with units.
#pragma once

#include <string>

#include "core/error.h"

namespace skein {

struct LogOptions {
  std::string level = "info";  // trace, debug, info, warn, error, off
  std::string file;            // "" = standard error
};

// Sets the process's default spdlog logger. Errors: invalid_argument (unknown level), as open(2).
Result<void> set_up_log(const std::string& program, const LogOptions& options);

}  // namespace skein
