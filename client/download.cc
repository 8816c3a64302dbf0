#include "client/download.h"

#include <algorithm>
#include <optional>

namespace skein {
namespace {

// Copies of a write-once file are equal; one that was cut short betrays itself by its size.
Result<std::uint64_t> agreed_size(const ClusterPath& path, const Located& located) {
  const Copy& first = located.copies.front();
  for (const Copy& copy : located.copies) {
    if (copy.info.size_bytes == first.info.size_bytes) continue;
    return Error{std::errc::io_error,
                 "get /" + path.text() + ": copies differ in size: " +
                     std::to_string(first.info.size_bytes) + " bytes on " + first.node.label() +
                     ", " + std::to_string(copy.info.size_bytes) + " on " + copy.node.label()};
  }
  return first.info.size_bytes;
}

// The nodes of the copies at their present addresses: those alive first, in the order given; those
// set aside last, because asking them costs a timeout.
std::vector<Node> in_order_of_hope(const Located& located, const NodeList& alive) {
  std::vector<Node> nodes;
  std::vector<Node> set_aside;
  for (const Copy& copy : located.copies) {
    const auto now = std::find_if(alive.begin(), alive.end(), [&](const Node& node) {
      return node.key() == copy.node.key();
    });
    if (now != alive.end()) {
      nodes.push_back(*now);
    } else {
      set_aside.push_back(copy.node);
    }
  }
  nodes.insert(nodes.end(), set_aside.begin(), set_aside.end());
  return nodes;
}

}  // namespace

Downloader::Downloader(NodeClient& client, Membership& membership)
    : client_(client), membership_(membership) {}

Result<Located> Downloader::find(const ClusterPath& path) {
  const std::string what = "get /" + path.text();
  const NodeSnapshot nodes = membership_.nodes();
  if (nodes->empty()) return Error{std::errc::host_unreachable, what + ": no node is known"};
  Located located = locate(client_, *nodes, path);
  for (const Node& node : located.silent) {
    membership_.report_failure(node.key(), {std::errc::timed_out, what + ": no answer"});
  }
  const bool is_directory = !located.copies.empty();
  std::erase_if(located.copies, [](const Copy& copy) { return copy.info.is_directory; });
  if (!located.copies.empty()) return located;
  if (is_directory) return Error{std::errc::is_a_directory, what + ": it is a directory"};
  if (!located.silent.empty()) {
    return Error{std::errc::host_unreachable, what + ": not found, but " +
                                                  located.silent.front().label() +
                                                  " could not be asked"};
  }
  // A node that is named by a source and not alive may have it; nobody can say that it has not.
  for (const NodeState& state : membership_.states()) {
    if (state.kind != NodeState::Kind::kSetAside) continue;
    return Error{std::errc::host_unreachable, what + ": not found, but " + state.node.label() +
                                                  " does not answer"};
  }
  return Error{std::errc::no_such_file_or_directory, what + ": no such file"};
}

Result<std::uint64_t> Downloader::stream(const ClusterPath& path, const NodeClient::Take& take) {
  auto located = find(path);
  if (!located) return located.error();
  const auto size_bytes = agreed_size(path, *located);
  if (!size_bytes) return size_bytes.error();
  std::uint64_t taken = 0;
  bool stopped = false;
  const auto count = [&](std::span<const char> piece) {
    taken += piece.size();
    stopped = !take(piece);
    return !stopped;
  };
  std::optional<Error> last;
  for (const Node& node : in_order_of_hope(*located, *membership_.nodes())) {
    const auto streamed = client_.stream(node, path, taken, count);
    if (stopped || (streamed && taken >= *size_bytes)) return taken;
    last = streamed ? Error{std::errc::io_error, "get /" + path.text() + ": file is shorter on " +
                                                     node.label() + " than it was"}
                    : streamed.error();
    if (!streamed) membership_.report_failure(node.key(), *last);
  }
  return *last;
}

Result<std::size_t> Downloader::read(const ClusterPath& path, const Located& copies,
                                     std::uint64_t offset, std::span<char> into) {
  if (copies.copies.empty()) {
    return Error{std::errc::host_unreachable, "get /" + path.text() + ": no copy is known"};
  }
  const auto size_bytes = agreed_size(path, copies);
  if (!size_bytes) return size_bytes.error();
  const std::uint64_t there = *size_bytes > offset ? *size_bytes - offset : 0;
  const std::size_t expected = std::min<std::uint64_t>(there, into.size());
  std::optional<Error> last;
  for (const Node& node : in_order_of_hope(copies, *membership_.nodes())) {
    const auto got = client_.read(node, path, offset, into);
    if (got && *got >= expected) return got;
    last = got ? Error{std::errc::io_error, "get /" + path.text() + ": file is shorter on " +
                                                node.label() + " than it was"}
               : got.error();
    if (!got) membership_.report_failure(node.key(), *last);
  }
  return *last;
}

}  // namespace skein
