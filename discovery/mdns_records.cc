#include "discovery/mdns_records.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "core/uuid.h"

namespace skein {
namespace {

bool is_ipv6(const Node& node) { return node.address.host.find(':') != std::string::npos; }

}  // namespace

std::vector<std::string> txt_of(const Node& node) {
  std::vector<std::string> strings{"v=1", "id=" + node.id, "host=" + node.host_id,
                                   "cluster=" + node.cluster};
  std::erase_if(strings, [](const std::string& text) { return text.size() > kMaxTxtBytes; });
  return strings;
}

void apply_txt(const std::string& text, Node& node) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return;
  const std::string_view key = std::string_view(text).substr(0, equals);
  const std::string value = text.substr(equals + 1);
  if (key == "id" && is_uuid(value)) node.id = value;
  if (key == "host") node.host_id = value;
  if (key == "cluster") node.cluster = value;
}

std::vector<Node> prefer_ipv4(std::vector<Node> heard) {
  std::set<std::string> with_ipv4;
  for (const Node& node : heard) {
    if (!is_ipv6(node)) with_ipv4.insert(node.name);
  }
  std::erase_if(heard, [&](const Node& node) {
    return is_ipv6(node) && with_ipv4.contains(node.name);
  });
  const auto place = [](const Node& node) { return std::pair(node.name, node.address.text()); };
  std::sort(heard.begin(), heard.end(),
            [&](const Node& a, const Node& b) { return place(a) < place(b); });
  heard.erase(std::unique(heard.begin(), heard.end(),
                          [&](const Node& a, const Node& b) { return place(a) == place(b); }),
              heard.end());
  return heard;
}

}  // namespace skein
