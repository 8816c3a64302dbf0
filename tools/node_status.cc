#include "tools/node_status.h"

#include <nlohmann/json.hpp>
#include <set>

#include "client/ask.h"
#include "client/connection_pool.h"

namespace skein {
namespace {

using nlohmann::json;

// Members of the wrong type count as absent: the document is another program's.
const json* member(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::string text_member(const json& object, const char* key) {
  const json* found = member(object, key);
  return found && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::uint64_t> bytes_member(const json* object, const char* key) {
  const json* found = object ? member(*object, key) : nullptr;
  if (!found || !found->is_number() || found->get<double>() < 0) return std::nullopt;
  return found->get<std::uint64_t>();
}

std::optional<double> mean_member(const json& object, const char* key) {
  const json* found = member(object, key);
  if (!found || !found->is_array() || found->empty()) return std::nullopt;
  double sum = 0;
  for (const json& one : *found) {
    if (!one.is_number()) return std::nullopt;
    sum += one.get<double>();
  }
  return sum / static_cast<double>(found->size());
}

StatusReply reply_of(const Node& node, const Result<Answer>& answer) {
  if (!answer) return {node, answer.error(), ""};
  if (answer->head.status() != 200) {
    return {node, Error{std::errc::bad_message, "status " + std::to_string(answer->head.status())},
            ""};
  }
  auto status = parse_status(answer->body);
  if (!status) return {node, status.error(), ""};
  // Pretty-printed replies are made one line; a number or name that is no UTF-8 is replaced.
  const std::string line = json::parse(answer->body, nullptr, false)
                               .dump(-1, ' ', false, json::error_handler_t::replace);
  return {node, std::move(status), line};
}

}  // namespace

Result<NodeStatus> parse_status(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return Error{std::errc::bad_message, "status is no JSON object"};
  const json* disk = member(document, "Disk");
  const json* memory = member(document, "MemUsage");
  NodeStatus status;
  status.computer = text_member(document, "ComputerName");
  status.version = text_member(document, "Version");
  status.uptime = text_member(document, "Uptime");
  status.uptime = status.uptime.substr(0, status.uptime.find('.'));
  status.host_id = text_member(document, "HostId");
  status.disk_total_bytes = bytes_member(disk, "total");
  status.disk_free_bytes = bytes_member(disk, "free");
  status.cpu_percent = mean_member(document, "CPUUsage");
  status.memory_total_bytes = bytes_member(memory, "total");
  status.memory_available_bytes = bytes_member(memory, "available");
  return status;
}

std::vector<StatusReply> ask_status(const NodeList& nodes, std::chrono::milliseconds timeout) {
  ConnectionPool pool({});
  std::vector<Question> questions;
  for (const Node& node : nodes) questions.push_back({&node, "GET", "/__status", ""});
  const auto answers = ask_all(pool, questions, timeout);
  std::vector<StatusReply> replies;
  for (std::size_t i = 0; i < nodes.size(); ++i) replies.push_back(reply_of(nodes[i], answers[i]));
  return replies;
}

SpaceSum sum_space(const std::vector<StatusReply>& replies) {
  SpaceSum sum;
  std::set<std::pair<std::string, std::uint64_t>> seen;
  for (const StatusReply& reply : replies) {
    if (!reply.status || !reply.status->disk_total_bytes) continue;
    const NodeStatus& status = *reply.status;
    const std::string host = !status.host_id.empty()    ? status.host_id
                             : !status.computer.empty() ? status.computer
                                                        : reply.node.address.host;
    if (!seen.emplace(host, *status.disk_total_bytes).second) continue;
    sum.total_bytes += *status.disk_total_bytes;
    sum.free_bytes += status.disk_free_bytes.value_or(0);
  }
  return sum;
}

}  // namespace skein
