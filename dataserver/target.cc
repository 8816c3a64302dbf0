#include "dataserver/target.h"

#include <algorithm>

#include "core/percent.h"

namespace skein {

Result<Target> parse_target(std::string_view text) {
  if (text.starts_with("http://")) {
    const std::size_t slash = text.find('/', 7);
    text = slash == std::string_view::npos ? std::string_view("/") : text.substr(slash);
  }
  if (!text.starts_with('/')) {
    return Error{std::errc::invalid_argument, "request target must begin with a slash"};
  }
  Target target;
  const std::size_t cut = text.find_first_of("?#");
  if (cut != std::string_view::npos && text[cut] == '?') {
    target.query = text.substr(cut + 1);
    target.query = target.query.substr(0, target.query.find('#'));
  }
  const std::string_view written = text.substr(0, cut);
  const auto decoded = percent_decode(written);
  if (!decoded) return decoded.error();
  // A slash that came escaped is part of a name to its sender, and no name can hold one.
  if (std::count(decoded->begin(), decoded->end(), '/') !=
      std::count(written.begin(), written.end(), '/')) {
    return Error{std::errc::invalid_argument, "escaped slash in the request target"};
  }
  auto path = ClusterPath::parse(*decoded, &target.climbed);
  if (!path) return path.error();
  target.path = std::move(*path);
  target.directory = decoded->ends_with('/') || decoded->ends_with("/.") || decoded->ends_with("/..");
  return target;
}

std::string Target::query_value(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
    auto value = percent_decode_query(pair.substr(equals + 1));
    return value ? std::move(*value) : std::string();
  }
  return {};
}

}  // namespace skein
