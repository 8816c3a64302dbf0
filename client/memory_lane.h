// For tests: a node's end of the lane (core/lane.h) in this process.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/fd.h"
#include "core/lane.h"
#include "core/node.h"

namespace skein {

inline std::string bytes_of(int fd) {
  std::string bytes(100, '\0');
  const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), 0);
  bytes.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return bytes;
}

// The other end of the lane, with files in memory. Verbs in `silent` get no reply, those in
// `closing` end the connection.
class LaneNode {
 public:
  explicit LaneNode(const std::string& socket_path) {
    node_.id = "id-1";
    node_.host_id = local_host_id();
    node_.lane = socket_path;
    hello_ = node_.id;
    listening_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    socket_path.copy(at.sun_path, sizeof at.sun_path - 1);
    REQUIRE(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(listening_.get(), 8) == 0);
    accepting_ = std::jthread([this] { accept_all(); });
  }
  ~LaneNode() {
    ::shutdown(listening_.get(), SHUT_RDWR);
    accepting_.join();
    hang_up();
  }

  // Ends all connections, as a restarted server does.
  void hang_up() {
    {
      const std::lock_guard lock(mutex_);
      for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
    }
    serving_.clear();
  }

  const Node& node() const { return node_; }
  int connections() const { return connections_; }
  std::string file(const std::string& path) {
    const std::lock_guard lock(mutex_);
    return files_.contains(path) ? bytes_of(files_.at(path).get()) : std::string("absent");
  }
  void add(const std::string& path, const std::string& bytes) {
    Fd fd(::memfd_create("file", MFD_CLOEXEC));
    REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    const std::lock_guard lock(mutex_);
    files_[path] = std::move(fd);
  }

  std::string hello_;
  std::atomic<LaneVerb> silent{};
  std::atomic<LaneVerb> closing{};
  std::atomic<bool> full = false;
  std::atomic<int> creates = 0;
  std::atomic<int> drops = 0;
  const std::string kept_id = "00000000-0000-4000-8000-000000000001";

 private:
  void accept_all() {
    for (;;) {
      const int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
      const int socket = ::accept4(listening_.get(), nullptr, nullptr, flags);
      if (socket < 0) return;
      ++connections_;
      const std::lock_guard lock(mutex_);
      sockets_.push_back(socket);
      serving_.emplace_back([this, socket] { serve(Fd(socket)); });
    }
  }

  void serve(Fd socket) {
    std::map<std::uint64_t, Fd> stages;
    for (;;) {
      const auto request = receive_request(socket.get(), Deadline::after(std::chrono::minutes(1)));
      if (!request || !*request || (*request)->verb == closing) break;
      if ((*request)->verb == silent) continue;
      const LaneReply reply = answer(**request, stages);
      if (!send_reply(socket.get(), reply, Deadline::after(std::chrono::seconds(5)))) break;
    }
    const std::lock_guard lock(mutex_);
    std::erase(sockets_, socket.get());
  }

  LaneReply answer(const LaneRequest& request, std::map<std::uint64_t, Fd>& stages) {
    const std::lock_guard lock(mutex_);
    LaneReply reply;
    const auto file = files_.find(request.path);
    switch (request.verb) {
      case LaneVerb::kHello:
        reply.text = hello_;
        break;
      case LaneVerb::kOpen:
        if (file == files_.end()) {
          reply.error = ENOENT;
        } else {
          reply.fd.reset(::fcntl(file->second.get(), F_DUPFD_CLOEXEC, 0));
          reply.size_bytes = bytes_of(reply.fd.get()).size();
        }
        break;
      case LaneVerb::kCreate:
        if (full) reply.error = ENOSPC;
        if (full) break;
        ++creates;
        reply.fd.reset(::memfd_create("stage", MFD_CLOEXEC));
        reply.stage = stages.size() + 1;
        stages[reply.stage].reset(::fcntl(reply.fd.get(), F_DUPFD_CLOEXEC, 0));
        break;
      case LaneVerb::kCheck:
      case LaneVerb::kSeal:
        if (file != files_.end()) reply.error = EEXIST;
        if (full) reply.error = ENOSPC;
        if (request.verb == LaneVerb::kSeal && reply.error == 0) {
          files_[request.path] = std::move(stages[request.stage]);
          sealed_size_bytes_ = request.size_bytes;
        }
        break;
      case LaneVerb::kRemoveDirectory:
        reply.error = ENOSYS;
        break;
      case LaneVerb::kDrop:
        ++drops;
        break;
      case LaneVerb::kNextKept:
        reply.error = request.path < kept_id ? 0 : ENOENT;
        if (reply.error != 0) break;
        reply.text = kept_id + "/d/a";
        reply.size_bytes = 3;
        reply.fd.reset(::memfd_create("kept", MFD_CLOEXEC));
        break;
      case LaneVerb::kPublishKept:
      case LaneVerb::kDropKept:
        if (!request.path.starts_with(kept_id)) reply.error = ENOENT;
        if (request.path.ends_with("/taken")) reply.error = EEXIST;
        break;
    }
    return reply;
  }

  Node node_;
  Fd listening_;
  std::atomic<int> connections_ = 0;

  std::mutex mutex_;  // guards everything below
  std::vector<int> sockets_;
  std::map<std::string, Fd> files_;
  std::uint64_t sealed_size_bytes_ = 0;

  std::vector<std::jthread> serving_;
  std::jthread accepting_;
};

}  // namespace skein
