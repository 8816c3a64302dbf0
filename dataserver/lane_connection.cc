#include "dataserver/lane_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "dataserver/sealing.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

// A client that does not take its small replies is gone or hostile.
constexpr auto kReplyTime = 1s;
constexpr auto kStay = 1ms;
constexpr int kRequestsPerTurn = 100;

LaneReply failed(const Error& error) {
  LaneReply reply;
  reply.error = static_cast<int>(error.code);
  reply.text = error.what;
  return reply;
}

LaneReply failed(int errno_value, const char* why) {
  return failed(Error{static_cast<std::errc>(errno_value), why});
}

}  // namespace

LaneConnection::LaneConnection(Fd socket, FileStore& store)
    : socket_(std::move(socket)), store_(store) {}

bool LaneConnection::admits(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

Turn LaneConnection::take_turn(Workbench&) {
  for (int i = 0; i < kRequestsPerTurn; ++i) {
    const auto request = receive_request(socket_.get(), Deadline::after(kStay));
    if (!request && request.error().code == std::errc::timed_out) {
      Turn turn;
      // With stages in hand it is in the middle of something.
      turn.idle = stages_.empty();
      turn.idle_since = last_request_;
      return turn;
    }
    if (!request || !*request) return {.close = true};
    last_request_ = std::chrono::steady_clock::now();
    const LaneReply reply = answer(**request);
    if (!send_reply(socket_.get(), reply, Deadline::after(kReplyTime))) return {.close = true};
  }
  return {.again = true};
}

LaneReply LaneConnection::answer(const LaneRequest& request) {
  if (request.verb == LaneVerb::kHello) {
    LaneReply reply;
    reply.text = store_.node_id();
    return reply;
  }
  if (request.verb == LaneVerb::kDrop) {
    return stages_.erase(request.stage) == 1 ? LaneReply() : failed(ENOENT, "no such stage");
  }
  bool climbed = false;
  const auto path = ClusterPath::parse(request.path, &climbed);
  if (!path) return failed(path.error());
  if (climbed) return failed(EINVAL, "the path leads above the root");
  if (path->is_private()) return failed(EACCES, "this name is private to the server");
  switch (request.verb) {
    case LaneVerb::kOpen: return open(*path);
    case LaneVerb::kCreate: return create(*path);
    case LaneVerb::kSeal: return seal_stage(request, *path);
    case LaneVerb::kCheck: {
      if (!stages_.contains(request.stage)) return failed(ENOENT, "no such stage");
      // The stage's bytes are on the disk already.
      const auto checked = store_.check(*path, 0);
      return checked ? LaneReply() : failed(checked.error());
    }
    default: return failed(ENOSYS, "unknown verb");
  }
}

LaneReply LaneConnection::open(const ClusterPath& path) {
  auto file = store_.open_file(path);
  if (!file) return failed(file.error());
  LaneReply reply;
  reply.size_bytes = file->found.size_bytes;
  reply.fd = std::move(file->fd);
  return reply;
}

LaneReply LaneConnection::create(const ClusterPath& path) {
  if (stages_.size() >= kMaxStages) return failed(EMFILE, "too many stages on this connection");
  auto stage = store_.stage(path, 0);
  if (!stage) return failed(stage.error());
  auto writable = stage->hand_out();
  if (!writable) return failed(writable.error());
  LaneReply reply;
  reply.stage = ++last_stage_;
  reply.fd = std::move(*writable);
  stages_.emplace(reply.stage, std::move(*stage));
  return reply;
}

LaneReply LaneConnection::seal_stage(const LaneRequest& request, const ClusterPath& path) {
  const auto found = stages_.find(request.stage);
  if (found == stages_.end()) return failed(ENOENT, "no such stage");
  const auto sealed = seal(store_, found->second, path, request.size_bytes);
  if (!sealed) return failed(sealed.error());
  stages_.erase(found);
  return {};
}

}  // namespace skein
