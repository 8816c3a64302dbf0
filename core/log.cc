#include "core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace skein {

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
