// Log set-up, shared by the programs. Log lines: constant words first, then key=value with units.
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <string>

#include "core/error.h"

namespace skein {

struct LogOptions {
  std::string level = "info";  // trace, debug, info, warn, error, off
  std::string file;            // "" = standard error
};

// Sets the process's default spdlog logger. Errors: invalid_argument (unknown level), as open(2).
Result<void> set_up_log(const std::string& program, const LogOptions& options);

// Where the parts that a library shares with the programs log to: the process's default logger, or
// the one of log_through(), because a library must not change the default of its program. Never
// null. Thread-safe.
std::shared_ptr<spdlog::logger> log();
void log_through(std::shared_ptr<spdlog::logger> logger);

}  // namespace skein
