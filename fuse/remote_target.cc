#include "fuse/remote_target.h"

#include "client/same_bytes.h"
#include "core/clock.h"
#include "core/uuid.h"

namespace skein {
namespace {

bool names_the_file(const Error& error) {
  return error.code == std::errc::file_exists || error.code == std::errc::is_a_directory ||
         error.code == std::errc::not_a_directory || error.code == std::errc::filename_too_long;
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
}

Result<void> RemoteTarget::stage(const ClusterPath& path, const PutBody& body) {
  excluded_.clear();
  last_error_.reset();
  Deadline give_up = Deadline::after(cluster_.deadline);
  for (;;) {
    auto node = next_node();
    if (!node) return node.error();
    if (!node->is_skein()) return {};  // whole, at the seal
    const auto began = std::chrono::steady_clock::now();
    auto staged = cluster_.client.stage(*node, stage_id_, path, body);
    if (staged) {
      staged_on_ = *node;
      return {};
    }
    if (names_the_file(staged.error())) return staged.error();
    failed(*node, staged.error());
    if (give_up.passed()) return staged.error();
    // A long transfer that made progress is not waiting; what counts is the failing at its end.
    const auto spent = std::chrono::steady_clock::now() - began;
    if (spent > cluster_.deadline) give_up = Deadline::after(cluster_.deadline);
  }
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
}

}  // namespace skein
