#include "discovery/status_json.h"

#include <nlohmann/json.hpp>

#include "core/uuid.h"

namespace skein {
namespace {

std::string text_at(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

}  // namespace

Result<ProbedStatus> parse_node_status(std::string_view json) {
  constexpr bool kThrow = false;
  const auto object = nlohmann::json::parse(json, nullptr, kThrow);
  if (!object.is_object()) return Error{std::errc::bad_message, "status is no JSON object"};
  ProbedStatus status{text_at(object, "NodeId"), text_at(object, "HostId"),
                    text_at(object, "Cluster"), text_at(object, "Lane"),
                    text_at(object, "InstanceName")};
  if (!is_uuid(status.id)) status.id.clear();
  return status;
}

}  // namespace skein
