#include "streamer/skein_log.h"

#include <spdlog/sinks/base_sink.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include "core/log.h"
#include "streamer/skein_stream.h"

namespace {

// base_sink's lock is held while the function runs: only so can replace() promise that the one
// before is not called any more, and its context may go.
class FunctionSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void replace(skein_log_function function, void* context) {
    const std::lock_guard lock(mutex_);
    function_ = function;
    context_ = context;
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const int level = message.level >= spdlog::level::err    ? SKEIN_LOG_ERROR
                      : message.level == spdlog::level::warn ? SKEIN_LOG_WARNING
                                                             : SKEIN_LOG_INFO;
    const std::string text(message.payload.data(), message.payload.size());
    if (function_ != nullptr) {
      function_(context_, level, text.c_str());
    } else if (level != SKEIN_LOG_INFO) {
      std::fprintf(stderr, "skein-streamer: %s\n", text.c_str());
    }
  }
  void flush_() override {}

  skein_log_function function_ = nullptr;
  void* context_ = nullptr;
};

// Of the process, as its standard error is; never destroyed, as core/log.h's.
FunctionSink& sink() {
  static auto* const kept = [] {
    auto made = std::make_shared<FunctionSink>();
    skein::log_through(std::make_shared<spdlog::logger>("skein-streamer", made));
    return new std::shared_ptr<FunctionSink>(std::move(made));
  }();
  return **kept;
}

}  // namespace

void skein::log_as_library() { sink(); }

void skein_log_to(skein_log_function function, void* context) { sink().replace(function, context); }
