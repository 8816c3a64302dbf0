#include "client/upload.h"

#include <optional>
#include <set>

#include "client/same_bytes.h"

namespace skein {
namespace {

// Trouble of the node or of the way to it, as against a refusal.
bool is_node_trouble(std::errc code) {
  switch (code) {
    case std::errc::no_space_on_device:
    case std::errc::file_exists:
    case std::errc::permission_denied:
    case std::errc::invalid_argument:
    case std::errc::file_too_large:
      return false;
    default:
      return true;
  }
}

}  // namespace

// One upload under way.
class Uploader::Attempt {
 public:
  Attempt(Uploader& uploader, const ClusterPath& path, const PutBody& body,
          const NodeClient::Progress& progress)
      : uploader_(uploader), path_(path), body_(body), progress_(progress) {}

  Result<Node> run() {
    const NodeSnapshot nodes = uploader_.membership_.nodes();
    if (nodes->empty()) return failure(std::errc::host_unreachable, "no node is known");
    if (auto free = check_name_is_free(*nodes); !free) return free.error();
    for (;;) {
      auto node = uploader_.placement_.choose(*nodes, excluded_);
      if (!node) return conclude();
      excluded_.insert(node->key());
      const auto outcome = try_node(*node);
      if (!outcome) return outcome.error();
      if (*outcome) return node;
    }
  }

 private:
  Error failure(std::errc code, const std::string& why) const {
    return {code, "put /" + path_.text() + ": " + why};
  }

  // A node that stays silent may have the name; the file is stored nevertheless, because a camera
  // can't wait for a computer that is switched off. It gets no file from this upload.
  Result<void> check_name_is_free(const NodeList& nodes) {
    const auto infos = uploader_.client_.stat_all(nodes, path_);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (infos[i] && *infos[i]) {
        const char* kind = (*infos[i])->is_directory ? "a directory" : "a file";
        return failure(std::errc::file_exists,
                       std::string(kind) + " of that name exists on " + nodes[i].label());
      }
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (!infos[i]) gave_trouble(nodes[i], infos[i].error());
    }
    return {};
  }

  void gave_trouble(const Node& node, const Error& why) {
    uploader_.membership_.report_failure(node.key(), why);
    excluded_.insert(node.key());
    last_trouble_ = why;
  }

  // True: stored. False: not stored there, go on with another node. Error: go on with none.
  Result<bool> try_node(const Node& node) {
    const auto put = uploader_.client_.put(node, path_, body_, progress_);
    if (put) return true;
    const Error& why = put.error();
    if (why.code == std::errc::no_space_on_device) {
      ++full_;
      full_error_ = why;
      return false;
    }
    if (why.code == std::errc::file_exists) return why;         // another writer was first
    if (why.code == std::errc::operation_canceled) return why;  // our own bytes are unreadable
    if (!is_node_trouble(why.code)) {
      last_refusal_ = why;
      return false;
    }
    // A node of another make keeps what it got of a body that was cut short: it is asked as well.
    const bool may_have_it = why.code == std::errc::not_connected ||
                             (!node.is_skein() && why.code != std::errc::connection_refused);
    if (may_have_it) {
      const auto same = same_bytes(uploader_.client_, node, path_, body_);
      if (same && *same == Sameness::kSame) return true;
      if (same && *same == Sameness::kDifferent) {
        return failure(std::errc::file_exists, "after an unclear failure " + node.label() +
                                                   " has other bytes under that name (" + why.what +
                                                   ")");
      }
    }
    gave_trouble(node, why);
    return false;
  }

  Error conclude() const {
    if (last_refusal_) return *last_refusal_;
    if (full_ > 0 && !last_trouble_) return *full_error_;
    if (full_ > 0) return failure(full_error_->code, "nodes are full or in trouble, the last: " +
                                                         last_trouble_->what);
    return failure(std::errc::host_unreachable, last_trouble_->what);
  }

  Uploader& uploader_;
  const ClusterPath& path_;
  const PutBody& body_;
  const NodeClient::Progress& progress_;
  std::set<std::string> excluded_;  // keys: tried, or in trouble
  int full_ = 0;
  std::optional<Error> full_error_;
  std::optional<Error> last_refusal_;
  std::optional<Error> last_trouble_;
};

Uploader::Uploader(NodeClient& client, Placement& placement, Membership& membership)
    : client_(client), placement_(placement), membership_(membership) {}

Result<Node> Uploader::upload(const ClusterPath& path, const PutBody& body,
                              const NodeClient::Progress& progress) {
  if (path.is_root() || path.is_private()) {
    return Error{std::errc::invalid_argument, "put /" + path.text() + ": not a name for a file"};
  }
  return Attempt(*this, path, body, progress).run();
}

}  // namespace skein
