#include "core/config.h"

#include <toml++/toml.h>
#include <unistd.h>

#include <cassert>
#include <charconv>
#include <cstdlib>

#include "core/node.h"

namespace skein {
namespace {

using Kind = KnownSetting::Kind;

// Deadlines and trust times: docs/design.md, "Promises".
constexpr KnownSetting kKnown[] = {
    {"cluster", Kind::kText, "", "cluster to use; empty = this computer's name"},
    {"nodes", Kind::kList, "", "nodes to use beside discovered ones, as http://HOST:PORT"},
    {"mdns", Kind::kBool, "true", "find nodes by mDNS"},
    {"registry", Kind::kBool, "true", "find nodes of this host in the run directory"},
    {"deadline_ms", Kind::kInteger, "5000", "longest an operation waits for a node"},
    {"listing_trust_ms", Kind::kInteger, "2500", "how long a listing is believed unasked"},
    {"log_level", Kind::kText, "info", "debug, info, warn, error or off"},
    {"server.root", Kind::kText, "", "folder that the data server serves"},
    {"server.port", Kind::kInteger, "15348", "TCP port; 0 = the kernel picks"},
    {"server.bind", Kind::kText, "", "address to listen on; empty = all if advertised by mDNS, else loopback"},
    {"server.advertise", Kind::kText, "mdns", "mdns, local (this host only) or none"},
    {"server.connections", Kind::kInteger, "12000", "open connections; the longest idle one goes first"},
    {"server.threads", Kind::kInteger, "64", "requests served at the same time"},
    {"server.stall_ms", Kind::kInteger, "30000", "longest pause inside one request"},
    {"server.reserve_bytes", Kind::kInteger, "67108864", "free space that stays free; below it PUT answers 507"},
    {"server.mirror_from", Kind::kList, "", "addresses beside this cluster's nodes that files may be fetched from"},
    {"server.sync", Kind::kText, "none", "when a PUT is acknowledged: none = in the page cache, publish = safe from power loss"},
    {"server.user", Kind::kText, "", "user to serve as when started as root; empty = stay root"},
    {"server.lane_group", Kind::kText, "", "group whose members may use the server's Unix socket"},
    {"server.lane_mode", Kind::kText, "", "mode of that socket; empty = 0600, or 0660 if it has a group"},
    {"mount.cache_dir", Kind::kText, "", "folder of the tree cache; empty = ~/.cache/skein"},
    {"mount.cache_bytes", Kind::kInteger, "1073741824", "most the tree cache takes on disk"},
    {"mount.spool_dir", Kind::kText, "", "folder for files being written; empty = inside the cache folder"},
    {"mount.metrics_port", Kind::kInteger, "0", "TCP port of 127.0.0.1 for Prometheus; 0 = none"},
    {"mount.spool_bytes", Kind::kInteger, "0", "most the spool takes; 0 = the free space of its disk"},
};

const KnownSetting* find_known(std::string_view key) {
  for (const KnownSetting& known : kKnown) {
    if (known.key == key) return &known;
  }
  return nullptr;
}

Result<void> check_kind(const KnownSetting& known, const std::string& value) {
  if (known.kind == Kind::kBool && value != "true" && value != "false") {
    return Error{std::errc::invalid_argument,
                 std::string(known.key) + " = '" + value + "': expected true or false"};
  }
  if (known.kind == Kind::kInteger) {
    std::int64_t number = 0;
    const char* end = value.data() + value.size();
    const auto parsed = std::from_chars(value.data(), end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end || number < 0) {
      return Error{std::errc::invalid_argument,
                   std::string(known.key) + " = '" + value + "': expected a whole number >= 0"};
    }
  }
  return {};
}

std::string environment_name(std::string_view key) {
  std::string name = "SKEIN_";
  for (const char c : key) {
    name += c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  }
  return name;
}

std::string with_line(const std::string& path, const toml::node& node) {
  return path + ":" + std::to_string(node.source().begin.line);
}

Result<std::string> as_text(const KnownSetting& known, const toml::node& node) {
  if (known.kind == Kind::kText && node.is_string()) return **node.as_string();
  if (known.kind == Kind::kBool && node.is_boolean()) {
    return std::string(**node.as_boolean() ? "true" : "false");
  }
  if (known.kind == Kind::kInteger && node.is_integer()) return std::to_string(**node.as_integer());
  if (known.kind == Kind::kList && node.is_array()) {
    std::string joined;
    for (const toml::node& element : *node.as_array()) {
      if (!element.is_string()) break;
      joined += (joined.empty() ? "" : ",") + **element.as_string();
    }
    return joined;
  }
  return Error{std::errc::invalid_argument, std::string(known.key) + " has the wrong type"};
}

}  // namespace

std::span<const KnownSetting> known_settings() { return kKnown; }

Config::Config() {
  for (const KnownSetting& known : kKnown) {
    settings_[std::string(known.key)] = {std::string(known.default_value), "default"};
  }
  settings_["cluster"].value = computer_name();
}

Result<Config> Config::load() {
  Config config;
  std::vector<std::string> files;
  if (const char* given = std::getenv("SKEIN_CONFIG")) {
    files.emplace_back(given);
  } else {
    files.emplace_back("/etc/skein/skein.toml");
    const char* xdg = std::getenv("XDG_CONFIG_HOME");
    const char* home = std::getenv("HOME");
    if (xdg && *xdg) {
      files.push_back(std::string(xdg) + "/skein/skein.toml");
    } else if (home && *home) {
      files.push_back(std::string(home) + "/.config/skein/skein.toml");
    }
  }
  for (const std::string& file : files) {
    if (auto loaded = config.load_file(file); !loaded) return loaded.error();
  }
  for (const KnownSetting& known : kKnown) {
    const std::string name = environment_name(known.key);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) continue;
    if (auto set = config.set(known.key, value, "environment " + name); !set) return set.error();
  }
  return config;
}

Result<void> Config::load_file(const std::string& path) {
  if (path.empty() || ::access(path.c_str(), F_OK) != 0) return {};
  toml::table table;
  try {
    table = toml::parse_file(path);
  } catch (const toml::parse_error& failure) {
    return Error{std::errc::invalid_argument,
                 path + ":" + std::to_string(failure.source().begin.line) + ": " +
                     std::string(failure.description())};
  }
  const auto take = [&](const std::string& key, const toml::node& node) -> Result<void> {
    const KnownSetting* known = find_known(key);
    if (known == nullptr) {
      return Error{std::errc::invalid_argument, with_line(path, node) + ": unknown setting '" + key +
                                                    "'; `skein config` lists the known ones"};
    }
    auto text = as_text(*known, node);
    if (!text) return Error{text.error().code, with_line(path, node) + ": " + text.error().what};
    return set(key, *text, path);
  };
  for (const auto& [name, node] : table) {
    if (const toml::table* inner = node.as_table()) {
      for (const auto& [inner_name, inner_node] : *inner) {
        const std::string key = std::string(name.str()) + "." + std::string(inner_name.str());
        if (auto taken = take(key, inner_node); !taken) return taken;
      }
    } else if (auto taken = take(std::string(name.str()), node); !taken) {
      return taken;
    }
  }
  return {};
}

Result<void> Config::set(std::string_view key, const std::string& value,
                         const std::string& origin) {
  const KnownSetting* known = find_known(key);
  assert(known != nullptr);
  if (auto checked = check_kind(*known, value); !checked) {
    return Error{checked.error().code, origin + ": " + checked.error().what};
  }
  settings_[std::string(key)] = {value, origin};
  return {};
}

const Setting& Config::get(std::string_view key) const {
  const auto found = settings_.find(key);
  assert(found != settings_.end());
  return found->second;
}

std::vector<std::string> Config::list(std::string_view key) const {
  std::vector<std::string> items;
  std::string_view rest = text(key);
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    if (comma != 0) items.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }
  return items;
}

std::int64_t Config::integer(std::string_view key) const { return std::stoll(text(key)); }

}  // namespace skein
