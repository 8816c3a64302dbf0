#include "client/lane_client.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "core/clock.h"
#include "core/uuid.h"

namespace skein {
namespace {

// Unused connections per node; more threads than this make new ones, at some 50 us each.
constexpr std::size_t kMostKept = 16;

// A stopped node would cost every call a timeout.
constexpr std::chrono::seconds kSetAsideFor{2};

// As for uploads (exchange.cc): a node may make the bytes durable before it answers.
constexpr std::uint64_t kSlowestDiskBytesPerSecond = 20'000'000;

Error no_lane(const Node& node, const std::string& why) {
  return {std::errc::not_supported, "lane to " + node.label() + ": " + why};
}

Error refused(const LaneReply& reply, const std::string& what) {
  Error error = errno_error(reply.error, what);
  if (!reply.text.empty()) error.what += " (" + reply.text + ")";
  return error;
}

// connect(2) on a Unix socket does not wait: it succeeds, or fails with EAGAIN when the server's
// backlog is full.
Result<Fd> connect_lane(const Node& node) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (node.lane.empty() || node.lane.size() >= sizeof to.sun_path) {
    return no_lane(node, "no usable socket path");
  }
  std::memcpy(to.sun_path, node.lane.data(), node.lane.size());
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    return no_lane(node, std::string("connect: ") + std::strerror(errno));
  }
  return fd;
}

bool is_open(int socket) {
  char byte;
  const ssize_t n = ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

// One request and its reply.
Result<LaneReply> call(int socket, const LaneRequest& request, Deadline deadline, bool* sent) {
  if (auto out = send_request(socket, request, deadline); !out) return out.error();
  if (sent) *sent = true;
  return receive_reply(socket, deadline);
}

}  // namespace

// The connections of one LaneClient; outlives it while stages do.
class LaneClient::Lanes {
 public:
  explicit Lanes(std::chrono::milliseconds timeout) : timeout(timeout) {}

  const std::chrono::milliseconds timeout;

  // An open connection to the node itself: a kept one, or a new one that said hello.
  Result<Fd> take(const Node& node) {
    static const std::string this_host = local_host_id();  // read from a file, and never changes
    if (node.id.empty() || node.host_id != this_host) return no_lane(node, "not on this host");
    if (Fd kept = take_kept(node)) return kept;
    if (is_set_aside(node)) return no_lane(node, "did not answer shortly before");
    return connect(node);
  }

  // A new connection that said hello.
  Result<Fd> connect(const Node& node) {
    auto fd = connect_lane(node);
    if (!fd) return fd.error();
    const auto hello = call(fd->get(), {LaneVerb::kHello, 0, 0, {}}, Deadline::after(timeout),
                            nullptr);
    if (!hello) {
      if (hello.error().code == std::errc::timed_out) set_aside(node);
      return no_lane(node, hello.error().what);
    }
    if (hello->error != 0) return no_lane(node, std::strerror(hello->error));
    if (hello->text != node.id) return no_lane(node, "another node answers there");
    return fd;
  }

  void keep(const Node& node, Fd fd) {
    const std::lock_guard lock(mutex_);
    std::vector<Fd>& kept = kept_[node.id];
    if (kept.size() < kMostKept) kept.push_back(std::move(fd));
  }

  void set_aside(const Node& node) {
    const std::lock_guard lock(mutex_);
    set_aside_until_[node.id] = std::chrono::steady_clock::now() + kSetAsideFor;
  }

 private:
  Fd take_kept(const Node& node) {
    for (;;) {
      Fd fd;
      {
        const std::lock_guard lock(mutex_);
        const auto kept = kept_.find(node.id);
        if (kept == kept_.end() || kept->second.empty()) return {};
        fd = std::move(kept->second.back());
        kept->second.pop_back();
      }
      if (is_open(fd.get())) return fd;
    }
  }

  bool is_set_aside(const Node& node) {
    const std::lock_guard lock(mutex_);
    const auto found = set_aside_until_.find(node.id);
    if (found == set_aside_until_.end()) return false;
    if (std::chrono::steady_clock::now() < found->second) return true;
    set_aside_until_.erase(found);
    return false;
  }

  std::mutex mutex_;  // guards everything below; never held across a call to a node
  std::map<std::string, std::vector<Fd>> kept_;  // by node id
  std::map<std::string, TimePoint> set_aside_until_;
};

namespace {

class LaneStage : public LaneClient::Stage {
 public:
  using GiveBack = std::function<void(const Node&, Fd)>;

  LaneStage(Node node, ClusterPath path, std::chrono::milliseconds timeout, Fd lane,
            LaneReply created, GiveBack give_back)
      : node_(std::move(node)),
        path_(std::move(path)),
        timeout_(timeout),
        lane_(std::move(lane)),
        number_(created.stage),
        file_(std::move(created.fd)),
        give_back_(std::move(give_back)) {}

  ~LaneStage() override { let_go(); }
  LaneStage(const LaneStage&) = delete;
  LaneStage& operator=(const LaneStage&) = delete;

  int fd() const override { return file_.get(); }
  const Node& node() const override { return node_; }
  bool is_connected() const override { return lane_.valid() && is_open(lane_.get()); }

  Result<void> check() override {
    const std::string what = "check " + path_.text() + " on " + node_.label();
    if (!lane_) return Error{std::errc::host_unreachable, what + ": node is gone"};
    const auto size_bytes = size_of_file(what);
    if (!size_bytes) return size_bytes.error();
    auto reply = call(lane_.get(), {LaneVerb::kCheck, number_, *size_bytes, path_.text()},
                      Deadline::after(timeout_), nullptr);
    if (!reply) {
      let_go();  // a late reply would be taken for the next one
      const bool late = reply.error().code == std::errc::timed_out;
      return Error{late ? std::errc::timed_out : std::errc::host_unreachable,
                   what + ": " + reply.error().what};
    }
    if (reply->error != 0) return refused(*reply, what);
    return {};
  }

  void aim_at(const ClusterPath& path) override { path_ = path; }

  Result<void> seal() override {
    const std::string what = "seal " + path_.text() + " on " + node_.label();
    if (!lane_) return Error{std::errc::host_unreachable, what + ": node is gone"};
    const auto size_bytes = size_of_file(what);
    if (!size_bytes) return size_bytes.error();
    file_.reset();  // the node waits until no writer is left
    const std::chrono::seconds to_store(*size_bytes / kSlowestDiskBytesPerSecond);
    bool sent = false;
    auto reply = call(lane_.get(), {LaneVerb::kSeal, number_, *size_bytes, path_.text()},
                      Deadline::after(timeout_ + to_store), &sent);
    if (!reply) {
      let_go();
      return Error{sent ? std::errc::not_connected : std::errc::host_unreachable,
                   what + ": " + reply.error().what};
    }
    if (reply->error != 0) {
      let_go();
      return refused(*reply, what);
    }
    give_back_(node_, std::move(lane_));
    return {};
  }

 private:
  // Whoever has the bytes in hand cares for them; the node need not. Without a word it would keep
  // what was checked. Nobody waits for the reply: the node reads what was sent before the end.
  void let_go() {
    if (!lane_) return;
    [[maybe_unused]] const auto told =
        send_request(lane_.get(), {LaneVerb::kDrop, number_, 0, {}}, Deadline::after({}));
    lane_.reset();
  }

  Result<std::uint64_t> size_of_file(const std::string& what) const {
    struct stat st {};
    if (::fstat(file_.get(), &st) != 0) return errno_error(errno, what);
    return static_cast<std::uint64_t>(st.st_size);
  }

  const Node node_;
  ClusterPath path_;
  const std::chrono::milliseconds timeout_;
  Fd lane_;  // invalid after a failure
  const std::uint64_t number_;
  Fd file_;
  const GiveBack give_back_;
};

}  // namespace

LaneClient::LaneClient(std::chrono::milliseconds timeout)
    : lanes_(std::make_shared<Lanes>(timeout)) {}

LaneClient::~LaneClient() = default;

bool LaneClient::reaches(const Node& node) {
  auto lane = lanes_->take(node);
  if (!lane) return false;
  lanes_->keep(node, std::move(*lane));
  return true;
}

Result<std::optional<LaneClient::OpenFile>> LaneClient::open(const Node& node,
                                                            const ClusterPath& path) {
  const std::string what = "open " + path.text() + " on " + node.label();
  // A kept connection may break as it is used: a restarted node. Once more, on a new one.
  for (int tries_left = 1;; --tries_left) {
    auto lane = lanes_->take(node);
    if (!lane) return lane.error();
    auto reply = call(lane->get(), {LaneVerb::kOpen, 0, 0, path.text()},
                      Deadline::after(lanes_->timeout), nullptr);
    if (!reply) {
      const bool late = reply.error().code == std::errc::timed_out;
      if (late) lanes_->set_aside(node);
      if (!late && tries_left > 0) continue;
      return Error{reply.error().code, what + ": " + reply.error().what};
    }
    lanes_->keep(node, std::move(*lane));
    if (reply->error == ENOENT) return std::optional<OpenFile>();
    if (reply->error != 0) return refused(*reply, what);
    if (!reply->fd) return Error{std::errc::bad_message, what + ": reply without a descriptor"};
    return std::optional(OpenFile{std::move(reply->fd), reply->size_bytes});
  }
}

// One of the rare questions: on a connection of its own.
Result<LaneReply> LaneClient::ask(const Node& node, const LaneRequest& request,
                                  const std::string& what) {
  auto lane = lanes_->connect(node);
  if (!lane) return lane.error();
  auto reply = call(lane->get(), request, Deadline::after(lanes_->timeout), nullptr);
  if (reply) return reply;
  const bool late = reply.error().code == std::errc::timed_out;
  return Error{late ? std::errc::timed_out : std::errc::not_connected,
               what + ": " + reply.error().what};
}

Result<std::optional<LaneClient::Kept>> LaneClient::next_kept(const Node& node,
                                                              const std::string& after) {
  const std::string what = "kept files of " + node.label();
  auto reply = ask(node, {LaneVerb::kNextKept, 0, 0, after}, what);
  if (!reply) return reply.error();
  if (reply->error == ENOENT) return std::optional<Kept>();
  if (reply->error != 0) return refused(*reply, what);
  const std::string id = reply->text.substr(0, reply->text.find('/'));
  auto path = ClusterPath::parse(reply->text.substr(id.size()));
  if (!path || !is_uuid(id) || !reply->fd) return Error{std::errc::bad_message, what + ": bad reply"};
  return std::optional(Kept{id, std::move(*path), reply->size_bytes, std::move(reply->fd)});
}

Result<void> LaneClient::publish_kept(const Node& node, const std::string& id,
                                      const ClusterPath& path) {
  const std::string what = "publish " + path.text() + " on " + node.label();
  const auto reply = ask(node, {LaneVerb::kPublishKept, 0, 0, id + "/" + path.text()}, what);
  if (!reply) return reply.error();
  return reply->error == 0 ? Result<void>() : refused(*reply, what);
}

Result<void> LaneClient::remove_directory(const Node& node, const ClusterPath& path) {
  const std::string what = "remove directory " + path.text() + " on " + node.label();
  const auto reply = ask(node, {LaneVerb::kRemoveDirectory, 0, 0, path.text()}, what);
  if (!reply) return reply.error();
  if (reply->error == ENOSYS) return no_lane(node, "the node cannot remove directories");
  return reply->error == 0 ? Result<void>() : refused(*reply, what);
}

Result<void> LaneClient::drop_kept(const Node& node, const std::string& id) {
  const std::string what = "drop kept file " + id + " on " + node.label();
  const auto reply = ask(node, {LaneVerb::kDropKept, 0, 0, id}, what);
  if (!reply) return reply.error();
  return reply->error == 0 ? Result<void>() : refused(*reply, what);
}

Result<std::unique_ptr<LaneClient::Stage>> LaneClient::create(const Node& node,
                                                              const ClusterPath& path) {
  const std::string what = "create " + path.text() + " on " + node.label();
  for (int tries_left = 1;; --tries_left) {
    auto lane = lanes_->take(node);
    if (!lane) return lane.error();
    auto reply = call(lane->get(), {LaneVerb::kCreate, 0, 0, path.text()},
                      Deadline::after(lanes_->timeout), nullptr);
    if (!reply) {
      const bool late = reply.error().code == std::errc::timed_out;
      if (late) lanes_->set_aside(node);
      if (!late && tries_left > 0) continue;
      return Error{reply.error().code, what + ": " + reply.error().what};
    }
    if (reply->error != 0) {
      lanes_->keep(node, std::move(*lane));
      return refused(*reply, what);
    }
    if (!reply->fd) return Error{std::errc::bad_message, what + ": reply without a descriptor"};
    auto give_back = [lanes = lanes_](const Node& to, Fd fd) { lanes->keep(to, std::move(fd)); };
    return std::unique_ptr<Stage>(std::make_unique<LaneStage>(node, path, lanes_->timeout,
                                                              std::move(*lane), std::move(*reply),
                                                              std::move(give_back)));
  }
}

}  // namespace skein
