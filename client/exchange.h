// One request, with or without a body, and its reply read in pieces by the caller: for the
// transfers of files, where the bytes should go from the socket straight to their place. For
// replies that are kept whole: ask.h. One thread at a time; the pool and the node outlive it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "client/connection_pool.h"
#include "client/node_client.h"
#include "client/pace.h"
#include "core/error.h"
#include "core/http_body.h"
#include "core/http_head.h"
#include "core/node.h"

namespace skein {

class Exchange {
 public:
  struct Request {
    std::string_view method;
    std::string target;
    std::string headers;            // whole lines, each ending in CRLF, beside Host and length
    const PutBody* body = nullptr;  // borrowed for the call of begin()
    const NodeClient::Progress* progress = nullptr;
  };

  // Sends the request and reads the reply's head; a kept connection that broke without a reply is
  // replaced once. Errors: of connecting and send_request(); bad_message; and not_connected when
  // the whole body was sent but the reply never came.
  static Result<Exchange> begin(ConnectionPool& pool, const Node& node, const Request& request,
                                std::chrono::milliseconds timeout);

  // A reply that is not finished is cut off: its connection is closed.
  ~Exchange() = default;
  Exchange(Exchange&&) = default;
  Exchange& operator=(Exchange&&) = delete;

  const ResponseHead& head() const { return head_; }
  // Sent twice; the first time may have been carried out.
  bool repeated() const { return repeated_; }

  // At least one byte of the reply's body, or 0 at its end. Errors: timed_out, connection_reset,
  // bad_message; then the exchange can only be destroyed.
  Result<std::size_t> read(std::span<char> into);
  // Fills `into` unless the body ends first.
  Result<std::size_t> read_full(std::span<char> into);
  // Reads past `bytes` of the body, fewer at its end. Returns how many.
  Result<std::uint64_t> skip(std::uint64_t bytes);
  bool at_end() const { return body_.done(); }
  // A new call of the caller: time that passed between its calls is not the node's fault.
  void resume() { pace_.restart(); }

  // Gives the connection back if the rest of the body is short enough to be read for that.
  void finish();

 private:
  Exchange(ConnectionPool& pool, const NodeAddress& address, std::unique_ptr<HttpStream> stream,
           ResponseHead head, std::chrono::milliseconds timeout)
      : pool_(pool),
        address_(address),
        stream_(std::move(stream)),
        head_(std::move(head)),
        body_(*stream_, head_.framing()),
        pace_(timeout) {}

  ConnectionPool& pool_;
  const NodeAddress address_;
  std::unique_ptr<HttpStream> stream_;
  ResponseHead head_;
  BodyReader body_;
  Pace pace_;
  bool repeated_ = false;
  bool cut_short_ = false;  // the request's body was not sent to its end
};

}  // namespace skein
