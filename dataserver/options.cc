#include "dataserver/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/config.h"

namespace skein {
namespace {

constexpr int kWrongUsage = 2;

std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

ParsedCommandLine wrong_usage(const std::string& why) {
  std::fprintf(stderr, "skein-dataserver: %s; see skein-dataserver --help\n",
               one_line(why).c_str());
  return {false, kWrongUsage, {}};
}

// A flag that sets a setting.
struct Flag {
  const char* names;
  const char* key;
  const char* help;
};
constexpr Flag kFlags[] = {
    {"-r,--root", "server.root", "folder to serve; it must exist"},
    {"-p,--port", "server.port", "TCP port; 0 = the kernel picks"},
    {"--bind", "server.bind", "address; empty = all if advertised by mDNS, else 127.0.0.1"},
    {"-f,--cluster", "cluster", "cluster to belong to"},
    {"-a,--advertise", "server.advertise", "mdns (or zeroconf), local (this host), none"},
    {"--connections", "server.connections", "most open ones; then the longest idle is closed"},
    {"--threads", "server.threads", "requests served at the same time"},
    {"--stall-ms", "server.stall_ms", "longest pause inside one request"},
    {"--sync", "server.sync", "a PUT is acknowledged in the page cache (none) or on disk (publish)"},
    {"--reserve-bytes", "server.reserve_bytes", "free space that stays free; then PUT gets 507"},
    {"--mirror-from", "server.mirror_from",
     "addresses beside this cluster's nodes that files may be fetched from, comma-separated"},
    {"--user", "server.user", "started as root: serve as this user; the folder must be its own"},
    {"--lane-group", "server.lane_group", "group whose members may use the Unix socket"},
    {"--lane-mode", "server.lane_mode", "mode of the Unix socket: 0600, 0660 or 0666 (all users)"},
    {"--log-level", "log_level", "debug, info, warn, error or off"},
};

constexpr const char* kFooter =
    "\nexample: skein-dataserver --root /data --cluster microscope1 --port 0\n"
    "When ready, one line on stdout: ready url=http://ADDR:PORT/ root=DIR id=UUID cluster=NAME\n"
    "Settings also come from /etc/skein/skein.toml, ~/.config/skein/skein.toml and SKEIN_* in the\n"
    "environment; `skein config` shows them.\n"
    "exit status: 0 stopped by SIGTERM or SIGINT; 1 cannot serve; 2 wrong usage";

ParsedCommandLine check(const Config& config, bool lane) {
  ServerOptions options;
  options.root = config.text("server.root");
  options.cluster = config.text("cluster");
  options.lane = lane;
  options.stall = config.milliseconds("server.stall_ms");
  options.reserve_bytes = static_cast<std::uint64_t>(config.integer("server.reserve_bytes"));
  options.mirror_from = config.list("server.mirror_from");
  options.node_deadline = config.milliseconds("deadline_ms");
  options.user = config.text("server.user");
  options.log_level = config.text("log_level");
  const auto access =
      LaneAccess::parse(config.text("server.lane_mode"), config.text("server.lane_group"));
  if (!access) return wrong_usage(access.error().what);
  options.lane_access = *access;
  if (options.root.empty()) return wrong_usage("no folder to serve, give --root DIR");

  const std::string& advertise = config.text("server.advertise");
  if (advertise == "local") {
    options.advertise = ServerOptions::Advertise::kLocal;
  } else if (advertise == "none") {
    options.advertise = ServerOptions::Advertise::kNone;
  } else if (advertise != "mdns" && advertise != "zeroconf") {
    return wrong_usage("advertise is '" + advertise + "', expected mdns, local or none");
  }
  const std::string& sync = config.text("server.sync");
  if (sync != "none" && sync != "publish") {
    return wrong_usage("sync is '" + sync + "', expected none or publish");
  }
  options.sync = sync == "publish";
  const std::int64_t port = config.integer("server.port");
  if (port > 65535) return wrong_usage("port " + std::to_string(port) + " is above 65535");
  const std::string& bind = config.text("server.bind");
  const bool everywhere = options.advertise == ServerOptions::Advertise::kMdns;
  options.bind.host = !bind.empty() ? bind : everywhere ? "0.0.0.0" : "127.0.0.1";
  options.bind.port = static_cast<std::uint16_t>(port);

  const std::int64_t threads = config.integer("server.threads");
  if (threads < 1 || threads > 1024) return wrong_usage("threads must be 1 to 1024");
  const std::int64_t connections = config.integer("server.connections");
  if (connections < 1) return wrong_usage("connections must be at least 1");
  options.threads = static_cast<std::size_t>(threads);
  options.connections = static_cast<std::size_t>(connections);
  return {true, 0, std::move(options)};
}

}  // namespace

ParsedCommandLine parse_command_line(int argc, char** argv) {
  auto config = Config::load();
  if (!config) return wrong_usage(config.error().what);
  CLI::App app("Serves a folder as one node of a cluster, over HTTP. Files are written once.",
               "skein-dataserver");
  std::map<std::string, std::string> given;
  for (const Flag& flag : kFlags) {
    app.add_option(flag.names, given[flag.key], flag.help)
        ->default_str(config->text(flag.key))
        ->take_last()
        ->type_name("");
  }
  bool no_lane = false;
  app.add_flag("--no-lane", no_lane, "offer no Unix socket to programs on this host");
  app.set_version_flag("--version", std::string("skein-dataserver ") + SKEIN_VERSION);
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return {};
  } catch (const CLI::CallForVersion&) {
    std::puts(app.version().c_str());
    return {};
  } catch (const CLI::ParseError& error) {
    return wrong_usage(error.what());
  }
  for (const Flag& flag : kFlags) {
    const std::string name = std::string(flag.names).substr(std::string(flag.names).find("--"));
    if (app.count(name) == 0) continue;
    const auto set = config->set(flag.key, given[flag.key], "flag " + name);
    if (!set) return wrong_usage(set.error().what);
  }
  return check(*config, !no_lane);
}

}  // namespace skein
