// For tests: a data server reduced to what discovery asks of it, on a port of 127.0.0.1 that the
// kernel picks. It answers every connection with one fixed text, or with nothing.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "core/http_stream.h"
#include "core/log.h"
#include "core/scratch_folder.h"
#include "core/socket.h"
#include "discovery/membership.h"

namespace skein {

inline std::string reply_with(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline std::string status_of(const Node& node) {
  return "{\"Port\": 1, \"NodeId\": \"" + node.id + "\", \"HostId\": \"" + node.host_id +
         "\", \"Cluster\": \"" + node.cluster + "\", \"Lane\": \"" + node.lane +
         "\", \"InstanceName\": \"" + node.name + "\"}";
}

// The log's first use makes it, and must not be by two threads that a sanitizer watches.
inline void begin_log() { static const Result<void> begun = set_up_log("test", {}); }

class TestNode {
 public:
  // An empty reply: connections are accepted and never answered.
  explicit TestNode(std::string reply, std::uint16_t port = 0) : reply_(std::move(reply)) {
    begin_log();
    auto listener = listen_tcp({"127.0.0.1", port}, 16);
    REQUIRE(listener);
    listener_ = std::move(*listener);
    address_ = *local_address(listener_.get());
    thread_ = std::jthread([this](std::stop_token stop) { serve(stop); });
  }

  const NodeAddress& address() const { return address_; }

 private:
  void serve(const std::stop_token& stop) {
    using namespace std::chrono_literals;
    std::vector<std::unique_ptr<HttpStream>> unanswered;
    const std::stop_callback wake(stop, [this] { ::shutdown(listener_.get(), SHUT_RDWR); });
    while (!stop.stop_requested()) {
      pollfd waiting{listener_.get(), POLLIN, 0};
      ::poll(&waiting, 1, 200);
      Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) continue;
      auto stream = std::make_unique<HttpStream>(std::move(socket));
      if (!stream->read_head(Deadline::after(1000ms))) continue;
      if (!reply_.empty()) (void)stream->write(reply_, Deadline::after(1000ms));
      if (reply_.empty()) unanswered.push_back(std::move(stream));
    }
  }

  const std::string reply_;
  Fd listener_;
  NodeAddress address_;
  std::jthread thread_;
};

// A membership whose changes can be waited for.
class WatchedMembership {
 public:
  explicit WatchedMembership(const MembershipOptions& options)
      : membership_((begin_log(), Membership::start(options))) {
    membership_->on_change([this](const NodeSnapshot&) {
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
    });
  }
  ~WatchedMembership() { membership_.reset(); }

  Membership* operator->() { return membership_.get(); }

  // True if the nodes alive come to satisfy `wanted` in time. $SKEIN_TEST_SLOW stretches the time,
  // for builds with sanitizers.
  bool comes_to(const std::function<bool(const NodeList&)>& wanted,
                std::chrono::milliseconds within) {
    const char* const slow = std::getenv("SKEIN_TEST_SLOW");
    const auto time = within * std::max(1, slow != nullptr ? std::atoi(slow) : 1);
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return wanted(*membership_->nodes()); });
  }
  bool comes_to(std::size_t count, std::chrono::milliseconds within) {
    return comes_to([count](const NodeList& nodes) { return nodes.size() == count; }, within);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<Membership> membership_;
};

// A run directory of its own for one test; the registry is looked for there.
class OwnRunDir {
 public:
  OwnRunDir() {
    ::setenv("SKEIN_RUN_DIR", path().c_str(), 1);
  }
  ~OwnRunDir() { ::unsetenv("SKEIN_RUN_DIR"); }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  ScratchFolder folder_;
};

}  // namespace skein
