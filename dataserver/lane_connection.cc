#include "dataserver/lane_connection.h"

#include <cerrno>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>

#include "core/uuid.h"
#include "dataserver/sealing.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

// A client that does not take its small replies is gone or hostile.
constexpr auto kReplyTime = 1s;
constexpr auto kStay = 1ms;
constexpr int kRequestsPerTurn = 100;
// With less room than one write of cp(1), a write into the stage may have failed: the client's kernel
// tells only the program that wrote (fuse/passthrough.h).
constexpr std::uint64_t kLeastRoomBytes = 128 * 1024;

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

LaneConnection::LaneConnection(Fd socket, FileStore& store, KeptStages& kept)
    : socket_(std::move(socket)), store_(store), kept_(kept) {}

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
    if (!request || !*request) {
      keep_checked();
      return {.close = true};
    }
    last_request_ = std::chrono::steady_clock::now();
    const LaneReply reply = answer(**request);
    if (!send_reply(socket_.get(), reply, Deadline::after(kReplyTime))) {
      keep_checked();
      return {.close = true};
    }
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
  if (request.verb >= LaneVerb::kNextKept && request.verb <= LaneVerb::kDropKept) {
    return answer_kept(request);
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
    case LaneVerb::kCheck: return check(request, *path);
    case LaneVerb::kRemoveDirectory: return remove_directory(*path);
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
  stages_.emplace(reply.stage, Stage{std::move(*stage), std::nullopt});
  return reply;
}

LaneReply LaneConnection::check(const LaneRequest& request, const ClusterPath& path) {
  const auto found = stages_.find(request.stage);
  if (found == stages_.end()) return failed(ENOENT, "no such stage");
  // The stage's bytes are on the disk already.
  const auto checked = store_.check(path, kLeastRoomBytes);
  if (!checked) return failed(checked.error());
  found->second.checked_as = path;
  return {};
}

LaneReply LaneConnection::remove_directory(const ClusterPath& path) {
  const auto removed = store_.remove_directory(path);
  return removed ? LaneReply() : failed(removed.error());
}

// The client is gone, or the server ends, and it did not say that it takes care of these itself.
void LaneConnection::keep_checked() {
  // A client that closed with a reply unread makes the kernel tell of a reset before what it sent.
  for (int i = 0; i < kRequestsPerTurn; ++i) {
    const auto last = receive_request(socket_.get(), Deadline::after({}));
    if (!last || !*last) break;
    if ((*last)->verb == LaneVerb::kDrop) stages_.erase((*last)->stage);
  }
  std::vector<std::string> ids;
  for (auto& [number, stage] : stages_) {
    if (!stage.checked_as) continue;
    const auto id = kept_.keep(stage.file, *stage.checked_as);
    if (id) {
      ids.push_back(*id);
      spdlog::warn("a writer ended between close and seal, its file is kept: path={} id={}",
                   stage.checked_as->text(), *id);
    } else {
      spdlog::error("a writer ended between close and seal, its file is lost: path={} why={}",
                    stage.checked_as->text(), id.error().what);
    }
  }
  stages_.clear();
  // Only when all are there: a server that is killed meanwhile has lost none.
  for (const std::string& id : ids) {
    if (const auto flushed = kept_.flush(id); !flushed) {
      spdlog::error("a kept file could not be flushed and may not outlive a power cut: id={} why={}",
                    id, flushed.error().what);
    }
  }
}

LaneReply LaneConnection::answer_kept(const LaneRequest& request) {
  if (request.verb == LaneVerb::kNextKept) {
    auto next = kept_.next(request.path);
    if (!next) return failed(next.error());
    LaneReply reply;
    reply.text = next->id + "/" + next->path.text();
    reply.size_bytes = next->size_bytes;
    reply.fd = std::move(next->fd);
    return reply;
  }
  const std::string id = request.path.substr(0, request.path.find('/'));
  if (!is_uuid(id)) return failed(EINVAL, "a kept stage is named by a UUID");
  if (request.verb == LaneVerb::kDropKept) {
    const auto dropped = kept_.drop(id);
    return dropped ? LaneReply() : failed(dropped.error());
  }
  bool climbed = false;
  const auto path = ClusterPath::parse(request.path.substr(id.size()), &climbed);
  if (!path) return failed(path.error());
  if (climbed) return failed(EINVAL, "the path leads above the root");
  if (path->is_private()) return failed(EACCES, "this name is private to the server");
  const auto published = kept_.publish(id, *path);
  return published ? LaneReply() : failed(published.error());
}

LaneReply LaneConnection::seal_stage(const LaneRequest& request, const ClusterPath& path) {
  const auto found = stages_.find(request.stage);
  if (found == stages_.end()) return failed(ENOENT, "no such stage");
  const auto sealed = seal(store_, found->second.file, path, request.size_bytes);
  if (!sealed) return failed(sealed.error());
  stages_.erase(found);
  return {};
}

}  // namespace skein
