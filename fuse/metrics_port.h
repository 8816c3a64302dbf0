// Answers GET /metrics on a port of 127.0.0.1, one connection after the other: a monitor asks every
// few seconds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "core/error.h"
#include "core/fd.h"

namespace skein {

class MetricsPort {
 public:
  // `text` is called by this object's thread. Errors: address_in_use, as bind(2).
  static Result<std::unique_ptr<MetricsPort>> open(std::uint16_t port,
                                                   std::function<std::string()> text);

 private:
  MetricsPort(Fd listener, std::function<std::string()> text);
  void serve(const std::stop_token& stop);
  void answer(Fd connection);

  const Fd listener_;
  const std::function<std::string()> text_;
  std::jthread thread_;
};

}  // namespace skein
