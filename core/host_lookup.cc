#include "core/host_lookup.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

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

// One name; guarded by Names::mutex.
class Name {
 public:
  explicit Name(const NodeAddress& address) : address_(address) {}

  // What is known now, having begun to look it up where that is due; nullopt: nothing yet.
  std::optional<Result<AddressList>> ask() {
    const bool fresh = decided_ && !Deadline::at(*decided_ + kBelieved).passed();
    if (!fresh && !pending_) begin();
    if (addresses_) return addresses_;
    if (decided_ && !pending_) return failure_;
    return std::nullopt;
  }

 private:
  void begin();
  void decide(int rc, AddressList found) {
    pending_ = false;
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
  bool pending_ = false;  // a thread looks it up
};

// Of the process, as the resolver is; never destroyed, since a look-up can't be called off.
struct Names {
  std::mutex mutex;
  std::condition_variable decided;
  std::map<std::string, Name> by_text;
};

Names& names() {
  static Names& all = *new Names;
  return all;
}

// Not getaddrinfo_a(3): a thread sanitizer does not survive its threads.
void Name::begin() {
  pending_ = true;
  try {
    std::thread([this] {
      addrinfo* list = nullptr;
      const addrinfo hints = stream_hints(0);
      const int rc = getaddrinfo(address_.host.c_str(), std::to_string(address_.port).c_str(),
                                 &hints, &list);
      const std::lock_guard lock(names().mutex);
      decide(rc, rc == 0 ? shared(list) : nullptr);
      names().decided.notify_all();
    }).detach();
  } catch (const std::system_error&) {
    decide(EAI_AGAIN, nullptr);
  }
}

}  // namespace

Result<AddressList> look_up(const NodeAddress& address, Deadline deadline) {
  addrinfo* numeric = nullptr;
  const addrinfo hints = stream_hints(AI_NUMERICHOST);
  const std::string port = std::to_string(address.port);
  if (getaddrinfo(address.host.c_str(), port.c_str(), &hints, &numeric) == 0) {
    return shared(numeric);
  }
  std::unique_lock lock(names().mutex);
  Name& name = names().by_text.try_emplace(address.text(), address).first->second;
  std::optional<Result<AddressList>> known;
  const auto is_known = [&] { return (known = name.ask()).has_value(); };
  if (!names().decided.wait_until(lock, deadline.when(), is_known)) {
    return Error{std::errc::timed_out, "look up host " + address.host + ": no answer in time"};
  }
  return std::move(*known);
}

}  // namespace skein
