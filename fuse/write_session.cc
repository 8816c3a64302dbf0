#include "fuse/write_session.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "client/locate.h"
#include "client/same_bytes.h"
#include "core/uuid.h"

namespace skein {
namespace {

// Spool space is counted in steps, so that a counter is not touched for every small write.
constexpr std::uint64_t kReserveStepBytes = std::uint64_t{4} << 20;

// The node itself is in trouble, as against a refusal of this file.
bool is_node_trouble(const Error& error) {
  switch (error.code) {
    case std::errc::host_unreachable:
    case std::errc::timed_out:
    case std::errc::not_connected:
    case std::errc::not_supported:
    case std::errc::io_error:
    case std::errc::bad_message:
      return true;
    default:
      return false;
  }
}

Error ended(const ClusterPath& path) {
  return {std::errc::bad_file_descriptor, "/" + path.text() + " is sealed"};
}

}  // namespace

// Waits without a deadline of its own: the holder's calls all have one.
class WriteSession::Turn {
 public:
  explicit Turn(WriteSession& session) : session_(session) {
    std::unique_lock lock(session_.mutex_);
    ++session_.turns_wanted_;
    session_.turn_free_.wait(lock, [&] { return !session_.turn_taken_; });
    --session_.turns_wanted_;
    session_.turn_taken_ = true;
  }
  ~Turn() {
    const std::lock_guard lock(session_.mutex_);
    session_.turn_taken_ = false;
    session_.turn_free_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  WriteSession& session_;
};

WriteSession::WriteSession(const Parts& parts, ClusterPath path, Inode inode,
                           std::optional<Node> node)
    : parts_(parts),
      inode_(inode),
      recovery_id_(make_uuid()),
      remote_(parts.cluster, std::move(node)),
      path_(std::move(path)) {}

WriteSession::~WriteSession() { finish(); }

Result<std::shared_ptr<WriteSession>> WriteSession::begin(const Parts& parts,
                                                          const ClusterPath& path, Inode inode) {
  const NodeSnapshot nodes = parts.cluster.membership.nodes();
  std::set<std::string> excluded;
  std::optional<Error> last;
  for (;;) {
    auto node = parts.cluster.placement.choose(*nodes, excluded);
    if (!node) return last ? *last : node.error();
    const bool local = parts.lanes != nullptr && parts.lanes->reaches(*node);
    std::shared_ptr<WriteSession> session(
        new WriteSession(parts, path, inode, local ? std::nullopt : std::optional(*node)));
    if (local) {
      auto lane = parts.stages->create(*node, path);
      if (!lane) {
        const bool full = lane.error().code == std::errc::no_space_on_device;
        if (!full && !is_node_trouble(lane.error())) return lane.error();
        if (!full) parts.cluster.membership.report_failure(node->key(), lane.error());
        excluded.insert(node->key());
        last = lane.error();
        continue;
      }
      session->node_local_ = true;
      session->lane_ = std::move(*lane);
      session->fd_ = session->lane_->fd();
      return session;
    }
    auto file = parts.spool.create();
    if (!file) return file.error();
    session->spooled_ = std::move(*file);
    session->fd_ = session->spooled_.get();
    return session;
  }
}

ClusterPath WriteSession::path() const {
  const std::lock_guard lock(mutex_);
  return path_;
}

void WriteSession::aim_at(const ClusterPath& path) {
  const Turn turn(*this);
  if (lane_) lane_->aim_at(path);
  const std::lock_guard lock(mutex_);
  path_ = path;
}

Result<Fd> WriteSession::open_reader() const {
  const std::lock_guard lock(mutex_);
  if (over_) return ended(path_);
  const std::string proc = "/proc/self/fd/" + std::to_string(fd_);
  Fd reader(::open(proc.c_str(), O_RDONLY | O_CLOEXEC));
  if (!reader) return errno_error(errno, "open /" + path_.text() + " for reading");
  return reader;
}

Result<struct stat> WriteSession::status() const {
  const std::lock_guard lock(mutex_);
  struct stat st = last_status_;
  if (!over_ && ::fstat(fd_, &st) != 0) return errno_error(errno, "stat /" + path_.text());
  return st;
}

Result<void> WriteSession::allow_size(std::uint64_t end) {
  if (lane_) return {};
  const std::lock_guard lock(mutex_);
  if (end <= reserved_bytes_) return {};
  const std::uint64_t more = std::max(end - reserved_bytes_, kReserveStepBytes);
  if (auto reserved = parts_.spool.reserve(more); !reserved) return reserved.error();
  reserved_bytes_ += more;
  return {};
}

Result<FileRange> WriteSession::bytes() const {
  struct stat st {};
  if (::fstat(fd_, &st) != 0) return errno_error(errno, "size of the private file");
  return FileRange{fd_, 0, static_cast<std::uint64_t>(st.st_size)};
}

// The node that will take the file refuses a name it has itself; the others are asked here. One
// that is silent may have the name: a camera cannot wait for a computer that is switched off.
Result<void> WriteSession::check_name_is_free(const ClusterPath& path,
                                              const std::string& target_key) {
  NodeList others = *parts_.cluster.membership.nodes();
  std::erase_if(others, [&](const Node& node) { return node.key() == target_key; });
  if (others.empty()) return {};
  const Located located = locate(parts_.cluster.client, others, path);
  for (const Node& silent : located.silent) {
    parts_.cluster.membership.report_failure(
        silent.key(), {std::errc::timed_out, "no answer about /" + path.text()});
  }
  if (located.copies.empty()) return {};
  return Error{std::errc::file_exists,
               "/" + path.text() + " exists on " + located.copies.front().node.label()};
}

Result<void> WriteSession::flush() {
  closing_ = true;
  return make_safe();
}

Result<void> WriteSession::make_safe() {
  const Turn turn(*this);
  const ClusterPath name = path();
  {
    const std::lock_guard lock(mutex_);
    if (over_) return {};
  }
  flushed_ = true;
  if (const int failure = failure_) {
    return Error{static_cast<std::errc>(failure), "a write into /" + name.text() + " failed before"};
  }
  if (lane_ && !lane_lost_) {
    if (auto free = check_name_is_free(name, lane_->node().key()); !free) return free.error();
    auto checked = lane_->check();
    // Close said so; a file that is visible afterwards would be one too many, or a torn one.
    if (!checked && checked.error().code == std::errc::no_space_on_device) {
      write_failed(checked.error().code);
    }
    if (checked || !is_node_trouble(checked.error())) return checked;
    // The node is gone, its disk is still under our descriptor: another node gets the bytes.
    parts_.cluster.membership.report_failure(lane_->node().key(), checked.error());
    lane_lost_ = true;
  }
  return flush_remote(name);
}

Result<void> WriteSession::flush_remote(const ClusterPath& name) {
  // Writes of the kernel itself into a node-local file are not counted: always stage anew.
  const std::uint64_t version = version_;
  const bool staged = !lane_ && staged_version_ == version;
  // A stage is published under any name (docs/wire.md, "Stages").
  if (staged && noted_ && noted_->path == name) return {};
  // A node refuses to stage for a name that it has.
  if (auto free = check_name_is_free(name, staged ? "" : remote_.first_key()); !free) {
    return free.error();
  }
  if (!staged) {
    if (auto done = stage_remote(name); !done) return done.error();
    staged_version_ = version;
  }
  // The writer is about to be told that its bytes are safe: from now on they outlive this mount.
  RecoveryNote note = note_of(name, "the mount ended before the file was sealed");
  // What lies on a node's disk is a copy in recover/, and as old as the note.
  if (!lane_ && noted_ == note) return {};
  auto kept = parts_.spool.keep(recovery_id_, fd_, note, Spool::Then::kWillStore);
  if (kept) noted_ = std::move(note);
  return kept;
}

Result<void> WriteSession::sync() {
  if (auto safe = make_safe(); !safe) return safe.error();
  if (::fsync(fd_) != 0) return errno_error(errno, "fsync /" + path().text());
  return {};
}

Result<std::uint64_t> WriteSession::seal() {
  const Turn turn(*this);
  const ClusterPath name = path();
  auto range = bytes();
  if (!range) return range.error();
  Fd reader;
  if (lane_) {
    // The lane closes the writing descriptor; this one saves the bytes should the seal fail.
    auto opened = open_reader();
    if (!opened) {
      const auto kept = keep_for_good(opened.error().what);
      noted_.reset();  // it stays in recover/
      if (kept) return opened.error();
      return Error{opened.error().code,
                   opened.error().what + "; and its bytes are LOST: " + kept.error().what};
    }
    reader = std::move(*opened);
  }
  {
    const std::lock_guard lock(mutex_);
    ::fstat(fd_, &last_status_);
    over_ = true;
    if (lane_) fd_ = reader.get();
  }
  auto sealed = lane_ && !lane_lost_ ? seal_lane(name) : seal_remote(name);
  if (!sealed) {
    const Error& why = sealed.error();
    const auto kept = keep_for_good(why.what);
    noted_.reset();  // it stays in recover/
    fd_ = spooled_.get();
    if (!kept) {
      return Error{why.code, why.what + "; and its bytes are LOST: " + kept.error().what};
    }
    return Error{why.code, why.what + "; kept as " + recovery_id_ + " in " +
                               parts_.spool.folder().string() + "/recover"};
  }
  finish();
  return range->size_bytes;
}

Result<void> WriteSession::seal_lane(const ClusterPath& name) {
  auto sealed = lane_->seal();
  if (sealed || sealed.error().code == std::errc::file_exists) return sealed;
  if (sealed.error().code == std::errc::not_connected) {
    auto range = bytes();
    if (!range) return range.error();
    const auto same = same_bytes(parts_.cluster.client, lane_->node(), name, *range);
    if (same && *same == Sameness::kSame) return {};  // only the reply was lost
  }
  parts_.cluster.membership.report_failure(lane_->node().key(), sealed.error());
  lane_lost_ = true;
  return seal_remote(name);
}

Result<void> WriteSession::seal_remote(const ClusterPath& name) {
  auto range = bytes();
  if (!range) return range.error();
  bool staged = !lane_ && staged_version_ == version_.load();
  if (!staged && remote_.has_pieces()) {
    if (auto done = stage_remote(name); !done) return done;
    staged = true;
  }
  return remote_.publish(name, *range, staged);
}

RecoveryNote WriteSession::note_of(const ClusterPath& name, const std::string& why) const {
  const auto& node = remote_.staged_on();
  return {name, why, node ? remote_.stage_id() : "", node ? node->url() : ""};
}

Result<void> WriteSession::keep_for_good(const std::string& why) {
  return parts_.spool.keep(recovery_id_, fd_, note_of(path(), why), Spool::Then::kStays);
}

Result<void> WriteSession::keep(const std::string& why) {
  const Turn turn(*this);
  const auto kept = keep_for_good(why);
  if (kept) noted_.reset();
  finish();
  return kept;
}

void WriteSession::drop() {
  const Turn turn(*this);
  remote_.drop();
  finish();
}

void WriteSession::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (!over_ && fd_ >= 0) ::fstat(fd_, &last_status_);
    over_ = true;  // no sender is started any more
  }
  sender_.request_stop();
  if (sender_.joinable()) sender_.join();
  if (noted_) parts_.spool.release(recovery_id_);
  noted_.reset();
  const std::lock_guard lock(mutex_);
  fd_ = -1;
  lane_.reset();
  spooled_.reset();
  parts_.spool.give_back(reserved_bytes_);
  reserved_bytes_ = 0;
}

}  // namespace skein
