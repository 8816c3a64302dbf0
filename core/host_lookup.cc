#include "core/host_lookup.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace skein {
namespace {

constexpr std::chrono::seconds kBelieved{1};  // then it is looked up anew, beside its use

addrinfo stream_hints(int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  return hints;
}

AddressList shared(addrinfo* found) {
  return {found, [](const addrinfo* list) { freeaddrinfo(const_cast<addrinfo*>(list)); }};
}

// What the C library works on; it must stay until it is done with it.
struct Request {
  explicit Request(const NodeAddress& address)
      : host(address.host), port(std::to_string(address.port)) {
    control.ar_name = host.c_str();
    control.ar_service = port.c_str();
    control.ar_request = &hints;
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  const std::string host;
  const std::string port;
  const addrinfo hints = stream_hints(0);
  gaicb control{};
};

class Name {
 public:
  explicit Name(const NodeAddress& address) : address_(address) {}

  // What is known now, having begun to look it up where that is due; nullopt: nothing yet.
  std::optional<Result<AddressList>> ask() {
    take_outcome();
    const bool fresh = decided_ && !Deadline::at(*decided_ + kBelieved).passed();
    if (!fresh && !pending_) begin();
    if (addresses_) return addresses_;
    if (decided_ && !pending_) return failure_;
    return std::nullopt;
  }
  std::shared_ptr<Request> pending() const { return pending_; }

 private:
  void begin() {
    pending_ = std::make_shared<Request>(address_);
    gaicb* list[] = {&pending_->control};
    if (const int rc = getaddrinfo_a(GAI_NOWAIT, list, 1, nullptr); rc != 0) {
      pending_.reset();
      decide(rc, nullptr);
    }
  }

  void take_outcome() {
    if (!pending_) return;
    const int rc = gai_error(&pending_->control);
    if (rc == EAI_INPROGRESS) return;
    decide(rc, rc == 0 ? shared(pending_->control.ar_result) : nullptr);
    pending_.reset();
  }

  void decide(int rc, AddressList found) {
    decided_ = std::chrono::steady_clock::now();
    failure_ = {std::errc::host_unreachable,
                "look up host " + address_.host + ": " + gai_strerror(rc)};
    const bool says_so = rc == 0 || rc == EAI_NONAME || rc == EAI_NODATA;
    if (says_so) addresses_ = std::move(found);
  }

  const NodeAddress address_;
  AddressList addresses_;
  Error failure_;
  std::optional<TimePoint> decided_;
  std::shared_ptr<Request> pending_;
};

// Of the process, as the resolver is; never destroyed, since a look-up can't be called off.
struct Names {
  std::mutex mutex;
  std::map<std::string, Name> by_text;
};

Names& names() {
  static Names& all = *new Names;
  return all;
}

void wait_for(Request& request, Deadline deadline) {
  const auto left = std::max(std::chrono::steady_clock::duration::zero(),
                             deadline.when() - std::chrono::steady_clock::now());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  const timespec timeout{seconds.count(), std::chrono::nanoseconds(left - seconds).count()};
  const gaicb* list[] = {&request.control};
  gai_suspend(list, 1, &timeout);
}

}  // namespace

Result<AddressList> look_up(const NodeAddress& address, Deadline deadline) {
  addrinfo* numeric = nullptr;
  const addrinfo hints = stream_hints(AI_NUMERICHOST);
  const std::string port = std::to_string(address.port);
  if (getaddrinfo(address.host.c_str(), port.c_str(), &hints, &numeric) == 0) {
    return shared(numeric);
  }
  for (;;) {
    std::shared_ptr<Request> pending;
    {
      const std::lock_guard lock(names().mutex);
      Name& name = names().by_text.try_emplace(address.text(), address).first->second;
      if (auto known = name.ask()) return std::move(*known);
      pending = name.pending();
    }
    if (deadline.passed()) {
      return Error{std::errc::timed_out, "look up host " + address.host + ": no answer in time"};
    }
    wait_for(*pending, deadline);
  }
}

}  // namespace skein
