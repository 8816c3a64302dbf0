#include "fuse/metrics_port.h"

#include <poll.h>
#include <sys/socket.h>

#include <chrono>

#include "core/http_head.h"
#include "core/http_stream.h"
#include "core/socket.h"

namespace skein {
namespace {

constexpr int kBacklog = 8;
// A monitor that does not ask, or does not take its answer, must not keep the next one waiting.
constexpr std::chrono::milliseconds kPatience{1000};

std::string reply_of(const std::string& status, const std::string& body) {
  return "HTTP/1.1 " + status + "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" +
         "Content-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

}  // namespace

Result<std::unique_ptr<MetricsPort>> MetricsPort::open(std::uint16_t port,
                                                       std::function<std::string()> text) {
  auto listener = listen_tcp({"127.0.0.1", port}, kBacklog);
  if (!listener) return listener.error();
  return std::unique_ptr<MetricsPort>(new MetricsPort(std::move(*listener), std::move(text)));
}

MetricsPort::MetricsPort(Fd listener, std::function<std::string()> text)
    : listener_(std::move(listener)),
      text_(std::move(text)),
      thread_([this](const std::stop_token& stop) { serve(stop); }) {}

void MetricsPort::serve(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { ::shutdown(listener_.get(), SHUT_RDWR); });
  while (!stop.stop_requested()) {
    pollfd waiting{listener_.get(), POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(kPatience.count()));
    Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection) answer(std::move(connection));
  }
}

void MetricsPort::answer(Fd connection) {
  const Deadline deadline = Deadline::after(kPatience);
  HttpStream stream(std::move(connection));
  const auto head = stream.read_head(deadline);
  if (!head || !*head) return;
  const std::string_view asked(**head);
  const bool metrics = asked.starts_with("GET /metrics ") || asked.starts_with("GET /metrics?");
  // A monitor that is gone already has lost nothing.
  (void)stream.write(metrics ? reply_of("200 OK", text_()) : reply_of("404 Not Found", ""),
                     deadline);
}

}  // namespace skein
