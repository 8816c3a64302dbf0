#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <mutex>
#include <utility>

namespace skein {
namespace {

struct OwnLog {
  std::mutex mutex;  // guards logger
  std::shared_ptr<spdlog::logger> logger;
};

// Of the process, as the default logger is. Never destroyed: threads may log until the very end.
OwnLog& own_log() {
  static auto* const own = new OwnLog;
  return *own;
}

}  // namespace

std::shared_ptr<spdlog::logger> log() {
  OwnLog& own = own_log();
  const std::lock_guard lock(own.mutex);
  return own.logger ? own.logger : spdlog::default_logger();
}

void log_through(std::shared_ptr<spdlog::logger> logger) {
  OwnLog& own = own_log();
  const std::lock_guard lock(own.mutex);
  own.logger = std::move(logger);
}

Result<void> set_up_log(const std::string& program, const LogOptions& options) {
  const auto level = spdlog::level::from_str(options.level);
  if (level == spdlog::level::off && options.level != "off") {
    return Error{std::errc::invalid_argument,
                 "unknown log level '" + options.level + "': use debug, info, warn, error or off"};
  }
  try {
    auto logger = options.file.empty()
                      ? std::make_shared<spdlog::logger>(
                            program, std::make_shared<spdlog::sinks::stderr_sink_mt>())
                      : std::make_shared<spdlog::logger>(
                            program, std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file));
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %n %l: %v");
    logger->set_level(level);
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
  } catch (const spdlog::spdlog_ex& failure) {
    return Error{std::errc::io_error, "open log file " + options.file + ": " + failure.what()};
  }
  return {};
}

}  // namespace skein
