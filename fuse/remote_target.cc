#include "fuse/remote_target.h"

#include <unistd.h>

#include <cerrno>

#include "client/same_bytes.h"
#include "core/clock.h"
#include "core/uuid.h"

namespace skein {
namespace {

bool names_the_file(const Error& error) {
  return error.code == std::errc::file_exists || error.code == std::errc::is_a_directory ||
         error.code == std::errc::not_a_directory || error.code == std::errc::filename_too_long;
}

// The next node would say the same.
bool is_no_fault_of_the_node(const Error& error) {
  return names_the_file(error) || error.code == std::errc::operation_canceled;
}

// All of the file but its holes.
void tell_data(int fd, UnsentBytes& unsent) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  for (off_t at = 0; at < size;) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return;  // a hole up to the end
    const off_t hole = data < 0 ? -1 : ::lseek(fd, data, SEEK_HOLE);
    // A filesystem that cannot tell: all of it.
    const off_t begin = data < 0 ? at : data;
    const off_t end = hole < 0 ? size : hole;
    unsent.written(static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end));
    at = end;
  }
}

}  // namespace

RemoteTarget::RemoteTarget(Cluster cluster, std::optional<Node> first)
    : cluster_(cluster), stage_id_(make_uuid()), node_(std::move(first)) {}

Result<Node> RemoteTarget::next_node() {
  if (node_) return *node_;
  auto chosen = cluster_.placement.choose(*cluster_.membership.nodes(), excluded_);
  if (!chosen) return last_error_ ? *last_error_ : chosen.error();
  node_ = *chosen;
  return *chosen;
}

void RemoteTarget::failed(const Node& node, const Error& why) {
  // A full node says something true about itself; it is not in trouble.
  if (why.code != std::errc::no_space_on_device) {
    cluster_.membership.report_failure(node.key(), why);
  }
  excluded_.insert(node.key());
  last_error_ = why;
  node_.reset();
  staged_on_.reset();
  pieces_on_.reset();
}

Result<void> RemoteTarget::on_some_node(const Send& send) {
  excluded_.clear();
  last_error_.reset();
  Deadline give_up = Deadline::after(cluster_.deadline);
  for (;;) {
    auto node = next_node();
    if (!node) return node.error();
    if (!node->is_skein()) return {};  // whole, at the seal
    const auto began = std::chrono::steady_clock::now();
    staged_on_ = *node;
    auto staged = send(*node);
    if (staged) return {};
    if (is_no_fault_of_the_node(staged.error())) return staged.error();
    failed(*node, staged.error());
    if (give_up.passed()) return staged.error();
    // A long transfer that made progress is not waiting; what counts is the failing at its end.
    const auto spent = std::chrono::steady_clock::now() - began;
    if (spent > cluster_.deadline) give_up = Deadline::after(cluster_.deadline);
  }
}

Result<void> RemoteTarget::stage(const ClusterPath& path, const PutBody& body) {
  pieces_on_.reset();
  return on_some_node([&](const Node& node) {
    return cluster_.client.stage(node, stage_id_, path, body);
  });
}

Result<void> RemoteTarget::stage_rest(const ClusterPath& path, const Growing& file,
                                      std::uint64_t size_bytes) {
  return on_some_node([&](const Node& node) {
    auto sent = send_rest(node, path, file, size_bytes);
    if (!sent && sent.error().code == std::errc::no_such_file_or_directory) {
      sent = send_rest(node, path, file, size_bytes);  // the node had lost the stage
    }
    if (sent || sent.error().code != std::errc::not_supported) return sent;
    return cluster_.client.stage(node, stage_id_, path, FileRange{file.fd, 0, size_bytes});
  });
}

Result<void> RemoteTarget::stage_ahead(const ClusterPath& path, const Growing& file) {
  auto node = next_node();
  if (!node) return node.error();
  if (!node->is_skein()) {
    return Error{std::errc::not_supported, node->label() + " knows no stages"};
  }
  staged_on_ = *node;
  auto sent = begin_pieces(*node, path, file);
  if (sent) {
    const auto piece = file.unsent.next_in_order();
    if (!piece) return {};
    const auto sum = cluster_.client.stage_piece(
        *node, stage_id_, path, {file.fd, piece->begin, piece->end - piece->begin}, std::nullopt);
    if (sum) return {};
    sent = sum.error();
  }
  pieces_on_.reset();
  const std::errc code = sent.error().code;
  const bool lost = code == std::errc::no_such_file_or_directory;
  if (!lost && code != std::errc::not_supported && !is_no_fault_of_the_node(sent.error())) {
    failed(*node, sent.error());
  }
  return sent;
}

// Makes an empty stage, where holes need not be sent. Errors: not_supported.
Result<void> RemoteTarget::begin_pieces(const Node& node, const ClusterPath& path,
                                        const Growing& file) {
  if (pieces_on_ && pieces_on_->key() == node.key()) return {};
  const auto made = cluster_.client.resize_stage(node, stage_id_, path, 0);
  if (!made) {
    const bool unknown = made.error().code == std::errc::no_such_file_or_directory;
    return unknown ? Error{std::errc::not_supported, made.error().what} : made.error();
  }
  // In this order: what is written meanwhile is told by its writer, or found here.
  file.unsent.start_again();
  tell_data(file.fd, file.unsent);
  pieces_on_ = node;
  return {};
}

Result<void> RemoteTarget::send_rest(const Node& node, const ClusterPath& path,
                                     const Growing& file, std::uint64_t size_bytes) {
  if (auto begun = begin_pieces(node, path, file); !begun) return begun;
  const auto pieces = file.unsent.take_all(size_bytes);
  const auto failed_at = [&](const Error& why) {
    pieces_on_.reset();
    return why;
  };
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto whole = i + 1 == pieces.size() ? std::optional(size_bytes) : std::nullopt;
    const FileRange range{file.fd, pieces[i].begin, pieces[i].end - pieces[i].begin};
    const auto sum = cluster_.client.stage_piece(node, stage_id_, path, range, whole);
    if (!sum) return failed_at(sum.error());
  }
  if (!pieces.empty()) return {};
  const auto sum = cluster_.client.resize_stage(node, stage_id_, path, size_bytes);
  if (!sum) return failed_at(sum.error());
  return {};
}

Result<void> RemoteTarget::publish(const ClusterPath& path, const PutBody& body, bool staged) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!staged || !staged_on_) {
      if (auto again = stage(path, body); !again) return again.error();
    }
    if (!staged_on_) {
      auto stored = cluster_.uploader.upload(path, body);
      if (!stored) return stored.error();
      return {};
    }
    auto published = publish_stage(path, body);
    if (published) {
      staged_on_.reset();
      return {};
    }
    if (names_the_file(published.error()) || attempt > 0) return published.error();
    if (published.error().code != std::errc::no_such_file_or_directory) {
      failed(*staged_on_, published.error());
    }
    staged = false;  // the stage is lost, or its node is: once more from the bytes held
  }
  return {};
}

Result<void> RemoteTarget::publish_stage(const ClusterPath& path, const PutBody& body) {
  const Node node = *staged_on_;
  auto published = cluster_.client.publish(node, stage_id_, path);
  if (published || published.error().code == std::errc::file_exists) return published;
  // A reply may be lost although the file was published; then the name is taken by our own bytes.
  const auto same = same_bytes(cluster_.client, node, path, body);
  if (same && *same == Sameness::kSame) return {};
  return published;
}

void RemoteTarget::drop() {
  if (!staged_on_) return;
  (void)cluster_.client.drop_stage(*staged_on_, stage_id_);
  staged_on_.reset();
  pieces_on_.reset();
}

}  // namespace skein
