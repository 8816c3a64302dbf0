#include "aggregate/appender.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "aggregate/append_target.h"
#include "client/connection_pool.h"
#include "client/exchange.h"
#include "core/uuid.h"

namespace skein {
namespace {

// A node that is asked may send on to the owner, which may have moved on meanwhile.
constexpr int kMostHops = 3;
// So often the same append is sent to a node that knows request ids.
constexpr int kMostTries = 3;
// Owners remembered; who appends to more files asks again.
constexpr std::size_t kMostPinned = 10'000;
// A refusal's sentence for people.
constexpr std::size_t kReasonBytes = 512;

std::errc code_of(int status) {
  switch (status) {
    case 400:
    case 415: return std::errc::invalid_argument;
    case 404: return std::errc::no_such_file_or_directory;
    case 403:
    case 409: return std::errc::operation_not_permitted;
    case 413: return std::errc::file_too_large;
    case 501: return std::errc::not_supported;
    case 503: return std::errc::host_unreachable;
    case 507: return std::errc::no_space_on_device;
    default: return std::errc::io_error;
  }
}

std::string reason_in(Exchange& exchange) {
  std::array<char, kReasonBytes> text;
  const auto n = exchange.read_full(text);
  std::string reason(text.data(), n ? *n : 0);
  while (!reason.empty() && reason.back() == '\n') reason.pop_back();
  // PYME's are pages of HTML.
  return reason.starts_with("<") ? std::string() : reason;
}

std::uint64_t number_in(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

struct Appender::Request {
  const char* verb;  // for messages
  const ClusterPath& path;
  std::span<const char> bytes;
  std::string id;  // of the request, "" for a seal
};

struct Appender::Outcome {
  std::optional<Receipt> receipt;
  std::optional<Error> error;
  std::string moved_to;  // Node::key() of the owner
};

Appender::Appender(NodeClient& client, Placement& placement, Membership& membership)
    : client_(client),
      placement_(placement),
      membership_(membership),
      pool_(std::make_unique<ConnectionPool>(ConnectionPool::Options{})) {}

Appender::~Appender() = default;

void Appender::keep_to(const ClusterPath& path, const Node& node) {
  const std::lock_guard lock(mutex_);
  if (pinned_.size() >= kMostPinned) pinned_.clear();
  pinned_[path.text()] = node.key();
}

Result<Node> Appender::alive(const std::string& key, const ClusterPath& path) const {
  const NodeSnapshot nodes = membership_.nodes();
  const auto found = std::find_if(nodes->begin(), nodes->end(),
                                  [&](const Node& node) { return node.key() == key; });
  if (found != nodes->end()) return *found;
  return Error{std::errc::host_unreachable,
               "/" + path.text() + " grows on node " + key + ", which does not answer"};
}

Error Appender::not_known(const ClusterPath& path, const Node& silent) const {
  return {std::errc::host_unreachable, "it is not known whether /" + path.text() + " is on " +
                                           silent.label() + ", which does not answer"};
}

Result<Node> Appender::owner_of(const ClusterPath& path, bool may_make) {
  std::string key;
  {
    const std::lock_guard lock(mutex_);
    const auto known = pinned_.find(path.text());
    if (known != pinned_.end()) key = known->second;
  }
  if (!key.empty()) return alive(key, path);
  const NodeSnapshot nodes = membership_.nodes();
  const auto infos = client_.stat_all(*nodes, path);
  std::optional<Node> silent;
  for (std::size_t i = 0; i < nodes->size(); ++i) {
    if (infos[i] && *infos[i]) return (*nodes)[i];
    if (infos[i]) continue;
    silent = (*nodes)[i];
    membership_.report_failure(silent->key(), infos[i].error());
  }
  if (silent) return not_known(path, *silent);
  // One that was named to us belongs to the cluster, and may have the file. Of those that announce
  // themselves the servers remember what they own, and refuse.
  for (const NodeState& state : membership_.states()) {
    const bool is_named = state.sources.find("static") != std::string::npos;
    if (is_named && state.kind != NodeState::Kind::kAlive) return not_known(path, state.node);
  }
  if (!may_make) return Error{std::errc::no_such_file_or_directory, "no such file"};
  return placement_.choose(*nodes);
}

Appender::Outcome Appender::send(const Node& node, const Request& request) {
  const bool seals = request.id.empty();
  std::string target = "/__seal" + request.path.target();
  std::string headers;
  if (!seals) {
    // PYME's server knows one spelling.
    const bool as_it_is = node.is_skein() && names_append(request.path);
    target = (as_it_is ? "" : "/__aggregate_txt") + request.path.target();
    headers = "Skein-Request-Id: " + request.id + "\r\n";
  }
  const PutBody body = request.bytes;
  // A kept connection would be replaced, and the request sent twice, unasked.
  ConnectionPool none(ConnectionPool::Options{});
  auto exchange = Exchange::begin(node.is_skein() ? *pool_ : none, node,
                                  {"PUT", target, headers, &body, nullptr}, client_.timeout());
  if (!exchange) return {{}, exchange.error(), {}};
  const ResponseHead& head = exchange->head();
  const int status = head.status();
  Outcome outcome;
  const std::string owner(head.find("Skein-Owner").value_or(""));
  if (status >= 200 && status < 300) {
    outcome.receipt = Receipt{node, number_in(head.find("Skein-Offset").value_or("0"))};
  } else if (status == 307 && !owner.empty()) {
    outcome.moved_to = owner;
  } else {
    std::string why = reason_in(*exchange);
    if (why.empty()) why = "reply " + std::to_string(status) + " of " + node.label();
    outcome.error = Error{code_of(status), std::move(why)};
  }
  exchange->finish();
  return outcome;
}

Result<Appender::Receipt> Appender::carry_out(const Request& request, bool may_make) {
  const auto failed = [&](const Error& why) {
    return Error{why.code, std::string(request.verb) + " /" + request.path.text() + ": " + why.what};
  };
  auto node = owner_of(request.path, may_make);
  if (!node) return failed(node.error());
  bool unclear = false;
  int tries = 0;
  for (int hops = 0; hops <= kMostHops;) {
    const Outcome outcome = send(*node, request);
    if (outcome.receipt) {
      keep_to(request.path, *node);
      return *outcome.receipt;
    }
    if (!outcome.moved_to.empty()) {
      node = alive(outcome.moved_to, request.path);
      if (!node) return failed(node.error());
      ++hops;
      continue;
    }
    const Error& why = *outcome.error;
    const bool broke = why.code == std::errc::not_connected ||
                       why.code == std::errc::connection_reset ||
                       why.code == std::errc::broken_pipe || why.code == std::errc::timed_out;
    unclear = unclear || why.code == std::errc::not_connected;
    if (broke || why.code == std::errc::connection_refused) {
      membership_.report_failure(node->key(), why);
      if (broke && node->is_skein() && ++tries < kMostTries) continue;
      if (unclear) {
        return failed({std::errc::not_connected, why.what + "; whether it was done is unknown"});
      }
      return failed({std::errc::host_unreachable, why.what});
    }
    return failed(why);
  }
  return failed({std::errc::host_unreachable, "the nodes do not agree on who owns it"});
}

Result<Appender::Receipt> Appender::append(const ClusterPath& path, std::span<const char> bytes) {
  return carry_out({"append", path, bytes, make_uuid()}, true);
}

Result<Node> Appender::seal(const ClusterPath& path) {
  auto done = carry_out({"seal", path, {}, {}}, false);
  if (!done) return done.error();
  return done->node;
}

}  // namespace skein
