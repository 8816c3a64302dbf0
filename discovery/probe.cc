#include "discovery/probe.h"

#include <poll.h>
#include <sys/socket.h>

#include <string>

#include "core/http_body.h"
#include "core/http_head.h"
#include "core/http_stream.h"
#include "core/socket.h"

namespace skein {
namespace {

Result<std::string> read_body(HttpStream& stream, BodyFraming framing, Deadline deadline) {
  BodyReader reader(stream, framing);
  std::string body(kMaxStatusBytes + 1, '\0');
  const auto length = reader.read_full(body, deadline);
  if (!length) return length.error();
  if (*length > kMaxStatusBytes) return Error{std::errc::message_size, "status is too long"};
  body.resize(*length);
  return body;
}

Result<ProbedStatus> ask_status(HttpStream& stream, const NodeAddress& address, Deadline deadline) {
  const std::string request = "GET /__status HTTP/1.1\r\nHost: " + address.text() +
                              "\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
  if (auto sent = stream.write(request, deadline); !sent) return sent.error();
  const auto text = stream.read_head(deadline);
  if (!text) return text.error();
  if (!*text) return Error{std::errc::connection_reset, "closed without an answer"};
  const auto head = ResponseHead::parse(**text, "GET");
  if (!head) return head.error();
  if (head->status() != 200) {
    return Error{std::errc::bad_message, "answered status " + std::to_string(head->status())};
  }
  const auto body = read_body(stream, head->framing(), deadline);
  if (!body) return body.error();
  return parse_node_status(*body);
}

}  // namespace

// Makes a socket known to stop() for as long as it is open.
class Prober::Cancelable {
 public:
  Cancelable(Prober& prober, int socket) : prober_(prober), socket_(socket) {
    const std::lock_guard lock(prober_.mutex_);
    begun_ = !prober_.stopped_;
    if (begun_) prober_.sockets_.insert(socket_);
  }
  ~Cancelable() {
    const std::lock_guard lock(prober_.mutex_);
    prober_.sockets_.erase(socket_);
  }
  Cancelable(const Cancelable&) = delete;
  Cancelable& operator=(const Cancelable&) = delete;
  bool begun() const { return begun_; }

 private:
  Prober& prober_;
  const int socket_;
  bool begun_ = false;
};

Result<ProbedStatus> Prober::probe(const NodeAddress& address) {
  const Deadline deadline = Deadline::after(timeout_);
  const std::string what = "GET /__status on " + address.text() + ": ";
  Error last{std::errc::host_unreachable, what + "no address"};
  // A host name may stand for several addresses; each refused one is passed over.
  for (std::size_t skip = 0; !deadline.passed(); ++skip) {
    auto socket = begin_connect(address, skip, deadline);
    if (!socket) return skip == 0 ? socket.error() : last;
    HttpStream stream(std::move(*socket));
    const Cancelable cancelable(*this, stream.fd());
    if (!cancelable.begun()) return Error{std::errc::operation_canceled, what + "stopping"};
    if (auto ready = wait_ready(stream.fd(), POLLOUT, deadline); !ready) {
      return Error{ready.error().code, what + ready.error().what};
    }
    if (auto outcome = connect_outcome(stream.fd(), address); !outcome) {
      last = outcome.error();
      continue;
    }
    auto status = ask_status(stream, address, deadline);
    if (!status) return Error{status.error().code, what + status.error().what};
    return status;
  }
  return last;
}

void Prober::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
}

}  // namespace skein
