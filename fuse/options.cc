#include "fuse/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>

#include "fuse/folders.h"

namespace skein {
namespace {

constexpr const char* kFooter = R"(options of -o (comma-separated, as in fstab):
  cluster=NAME node=URL[;URL...] ro allow_other uid=N gid=N umask=OCTAL foreground
  deadline_ms=N listing_trust_ms=N cache=DIR cache_bytes=N spool=DIR spool_bytes=N
  metrics_port=N no_bypass no_passthrough seal_on_kill wait_for_nodes=SECONDS,
  and what mount(8) knows

files are written once: they appear to others when closed, and never change.
errors of storing a file are reported by close() and fsync().

example: skein-mount /mnt/room1 --cluster room1
fstab:   room1 /mnt/room1 fuse.skein _netdev,nofail,allow_other 0 0
end it:  umount /mnt/room1  (or fusermount3 -u /mnt/room1)

exit status: 0 mounted (in the foreground: unmounted); 1 failed; 2 wrong usage;
  3 no node found
)";

// Settings that can also be given as --NAME (with dashes) and in the list of -o.
struct SettingOption {
  const char* name;
  const char* key;
  const char* type;
  const char* help;
};
constexpr SettingOption kSettingOptions[] = {
    {"deadline_ms", "deadline_ms", "N", "longest that an operation waits for nodes  [default: 5000]"},
    {"listing_trust_ms", "listing_trust_ms", "N",
     "how long a listing is believed unasked  [default: 2500]"},
    {"cache", "mount.cache_dir", "DIR", "folder of the tree cache  [default: ~/.cache/skein]"},
    {"cache_bytes", "mount.cache_bytes", "N", "most that it takes  [default: 1073741824]"},
    {"spool", "mount.spool_dir", "DIR",
     "folder for files being written  [default: CACHE/spool]"},
    {"spool_bytes", "mount.spool_bytes", "N",
     "most that it takes  [default: what its disk has]"},
    {"metrics_port", "mount.metrics_port", "PORT",
     "TCP port of 127.0.0.1 for Prometheus  [default: none]"},
};

std::string flag_of(const SettingOption& setting) {
  std::string flag = "--" + std::string(setting.name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

Error usage(const std::string& what) {
  return {std::errc::invalid_argument, what + "; see skein-mount --help"};
}

// What the command line says, before it is laid over the settings.
struct Given {
  std::string mount_point;
  std::optional<std::string> cluster;
  std::vector<std::string> nodes;
  std::vector<std::string> mount_options;  // each maybe comma-separated
  std::optional<std::string> log_level;
  std::string log_file;
  std::map<std::string, std::string> settings;  // by SettingOption::key, from flags
  bool foreground = false;
  bool allow_other = false;
  bool read_only = false;
  bool no_bypass = false;
  bool no_passthrough = false;
  bool seal_on_kill = false;
  double wait_for_nodes_s = 5;
};

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t at = text.find(separator);
    if (at != 0) parts.emplace_back(text.substr(0, at));
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  }
  return parts;
}

Result<std::uint64_t> number(const std::string& name, const std::string& value, int base = 10) {
  std::uint64_t parsed = 0;
  const char* end = value.data() + value.size();
  const auto result = std::from_chars(value.data(), end, parsed, base);
  if (value.empty() || result.ec != std::errc() || result.ptr != end || parsed > UINT32_MAX) {
    return usage("-o " + name + "=" + value + ": not a number");
  }
  return parsed;
}

// mount(8) passes these on; they are for itself or for the kernel's defaults.
bool is_ignored(const std::string& name) {
  static const char* const kIgnored[] = {"rw",      "defaults", "auto",    "noauto", "nofail",
                                         "_netdev", "user",     "nouser",  "users",  "nousers",
                                         "owner",   "group",    "relatime"};
  return std::any_of(std::begin(kIgnored), std::end(kIgnored),
                     [&](const char* ignored) { return name == ignored; }) ||
         name.starts_with("x-") || name.starts_with("comment=");
}

bool is_for_kernel(const std::string& name) {
  static const char* const kKernel[] = {"ro",      "dev",        "nodev",  "suid",  "nosuid",
                                        "exec",    "noexec",     "atime",  "noatime", "nodiratime",
                                        "sync",    "async",      "dirsync",
                                        "default_permissions"};
  return std::any_of(std::begin(kKernel), std::end(kKernel),
                     [&](const char* known) { return name == known; });
}

// One of the -o list.
Result<void> apply(const std::string& option, Config& config, Given& given, MountOptions& out) {
  if (is_ignored(option)) return {};
  if (is_for_kernel(option)) {
    out.read_only |= option == "ro";
    out.kernel_options.push_back(option);
    return {};
  }
  const std::size_t equals = option.find('=');
  const std::string name = option.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : option.substr(equals + 1);
  const auto as_number = [&](int base, auto set) -> Result<void> {
    const auto parsed = number(name, value, base);
    if (!parsed) return parsed.error();
    set(*parsed);
    return {};
  };
  if (name == "allow_other") return out.allow_other = true, Result<void>();
  if (name == "foreground") return given.foreground = true, Result<void>();
  if (name == "no_bypass") return given.no_bypass = true, Result<void>();
  if (name == "no_passthrough") return given.no_passthrough = true, Result<void>();
  if (name == "seal_on_kill") return given.seal_on_kill = true, Result<void>();
  if (name == "cluster") return given.cluster = value, Result<void>();
  if (name == "node") {
    for (std::string& url : split(value, ';')) given.nodes.push_back(std::move(url));
    return {};
  }
  if (name == "uid") return as_number(10, [&](auto n) { out.uid = static_cast<uid_t>(n); });
  if (name == "gid") return as_number(10, [&](auto n) { out.gid = static_cast<gid_t>(n); });
  if (name == "umask") {
    return as_number(8, [&](auto n) { out.umask = static_cast<mode_t>(n & 0777); });
  }
  if (name == "wait_for_nodes") {
    return as_number(10, [&](auto n) { given.wait_for_nodes_s = static_cast<double>(n); });
  }
  for (const SettingOption& setting : kSettingOptions) {
    if (name == setting.name) return config.set(setting.key, value, "-o " + name);
  }
  return usage("unknown mount option '" + option + "'");
}

void describe(CLI::App& app, Given& given) {
  app.add_option("MOUNTPOINT", given.mount_point, "an empty folder")->required();
  app.add_option("--cluster", given.cluster, "cluster to show  [default: this computer's name]")
      ->type_name("NAME");
  app.add_option("--node", given.nodes,
                 "a node to use, repeatable; without --cluster only these are used")
      ->type_name("URL")
      ->allow_extra_args(false);
  app.add_flag("--foreground,-f", given.foreground, "stay in the foreground, log to stderr");
  app.add_option("-o", given.mount_options, "mount options, see below")
      ->type_name("OPTION,...")
      ->allow_extra_args(false);
  app.add_flag("--read-only", given.read_only, "refuse to write, as -o ro");
  app.add_flag("--allow-other", given.allow_other, "let other users in, as -o allow_other");
  for (const SettingOption& setting : kSettingOptions) {
    app.add_option_function<std::string>(
           flag_of(setting),
           [&given, key = setting.key](const std::string& value) { given.settings[key] = value; },
           setting.help)
        ->type_name(setting.type);
  }
  app.add_flag("--no-bypass", given.no_bypass, "use HTTP also for nodes of this host");
  app.add_flag("--no-passthrough", given.no_passthrough,
               "the kernel does not read and write node-local files itself");
  app.add_flag("--seal-on-kill", given.seal_on_kill,
               "publish files whose writer was killed  [default: drop them]");
  app.add_option("--wait-for-nodes", given.wait_for_nodes_s,
                 "how long to look for a first node; 0 mounts without one  [default: 5]")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 3600.0));
  app.add_option("--log-level", given.log_level, "debug, info, warn, error or off")
      ->type_name("LEVEL");
  app.add_option("--log-file", given.log_file,
                 "[default: stderr in the foreground, else CACHE/mount.log]")
      ->type_name("FILE");
  app.footer(kFooter);
}

// "room1", "http://host:port;http://..." or the place-holder "skein".
void take_source(const std::string& source, Given& given) {
  if (source == "skein" || source == "none" || source.empty()) return;
  const std::string name = source.starts_with("skein:") ? source.substr(6) : source;
  if (name.find("://") == std::string::npos) {
    given.cluster = name;
    return;
  }
  for (std::string& url : split(name, ';')) given.nodes.push_back(std::move(url));
}

Result<Given> parse_helper(std::span<const std::string> arguments) {
  Given given;
  std::vector<std::string> plain;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const bool takes_value = word == "-o" || word == "-t" || word == "-N";
    if (takes_value) {
      if (++i == arguments.size()) return usage(word + " needs a value");
      if (word == "-o") given.mount_options.push_back(arguments[i]);
    } else if (word.size() > 1 && word[0] == '-') {
      if (word.find_first_not_of("sfnv", 1) != std::string::npos) {
        return usage("unknown flag " + word);
      }
    } else {
      plain.push_back(word);
    }
  }
  if (plain.size() != 2) return usage("expected SOURCE MOUNTPOINT");
  given.mount_point = plain[1];
  take_source(plain[0], given);
  return given;
}

Result<Given> parse_own(std::span<const std::string> arguments, TextToPrint* print) {
  Given given;
  CLI::App app("Shows a Skein cluster as a folder.", "skein-mount");
  app.set_version_flag("--version", std::string("skein-mount ") + SKEIN_VERSION);
  describe(app, given);
  try {
    // CLI11 takes them last first.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    print->text = app.help();
  } catch (const CLI::CallForVersion& version) {
    print->text = std::string(version.what()) + "\n";
  } catch (const CLI::ParseError& wrong) {
    return usage(wrong.what());
  }
  return given;
}

Result<void> lay_over(const Config& config, const Given& given, MountOptions& out) {
  out.cluster = given.cluster.value_or(config.text("cluster"));
  std::vector<std::string> urls = given.nodes;
  if (urls.empty()) urls = config.list("nodes");
  for (const std::string& url : urls) {
    const auto address = parse_node_url(url);
    if (!address) return usage("--node " + url + ": " + address.error().what);
    out.nodes.push_back(*address);
  }
  // Who names nodes and no cluster means these nodes.
  const bool only_these = !given.nodes.empty() && !given.cluster;
  out.mdns = !only_these && config.flag("mdns");
  out.registry = !only_these && config.flag("registry");
  out.foreground = given.foreground;
  out.bypass = !given.no_bypass;
  out.passthrough = !given.no_passthrough && !given.no_bypass;
  out.seal_on_kill = given.seal_on_kill;
  out.start_wait = std::chrono::milliseconds(static_cast<long>(given.wait_for_nodes_s * 1000));
  out.deadline = config.milliseconds("deadline_ms");
  out.listing_trust = config.milliseconds("listing_trust_ms");
  // The daemon's working directory is not the caller's: all are absolute.
  out.cache_dir = cache_folder(config);
  out.cache_bytes = static_cast<std::uint64_t>(config.integer("mount.cache_bytes"));
  out.spool_dir = spool_folder(config);
  out.spool_bytes = static_cast<std::uint64_t>(config.integer("mount.spool_bytes"));
  const std::int64_t metrics_port = config.integer("mount.metrics_port");
  if (metrics_port > UINT16_MAX) return usage("metrics_port must be at most 65535");
  out.metrics_port = static_cast<std::uint16_t>(metrics_port);
  out.log_level = given.log_level.value_or(config.text("log_level"));
  out.log_file = given.log_file;
  if (!out.log_file.empty()) out.log_file = std::filesystem::absolute(out.log_file).string();
  if (out.log_file.empty() && !out.foreground) {
    out.log_file = (out.cache_dir / "mount.log").string();
  }
  return {};
}

}  // namespace

bool is_mount_helper(std::string_view program) {
  const std::size_t slash = program.rfind('/');
  const auto name = slash == std::string_view::npos ? program : program.substr(slash + 1);
  return name == "mount.skein" || name == "mount.fuse.skein";
}

Result<MountOptions> parse_mount_options(Config config, std::span<const std::string> arguments,
                                         bool helper, TextToPrint* print) {
  auto given = helper ? parse_helper(arguments) : parse_own(arguments, print);
  if (!given) return given.error();
  if (!print->text.empty()) return MountOptions{};
  MountOptions out;
  out.uid = ::geteuid();
  out.gid = ::getegid();
  for (const std::string& list : given->mount_options) {
    for (const std::string& option : split(list, ',')) {
      if (auto applied = apply(option, config, *given, out); !applied) return applied.error();
    }
  }
  for (const SettingOption& setting : kSettingOptions) {
    const auto flag = given->settings.find(setting.key);
    if (flag == given->settings.end()) continue;
    const std::string origin = "flag " + flag_of(setting);
    if (auto set = config.set(setting.key, flag->second, origin); !set) return set.error();
  }
  if (given->read_only && !out.read_only) {
    out.read_only = true;
    out.kernel_options.push_back("ro");
  }
  out.allow_other |= given->allow_other;
  if (auto laid = lay_over(config, *given, out); !laid) return laid.error();
  if (out.deadline.count() < 100) return usage("deadline_ms must be at least 100");
  out.mount_point = std::filesystem::absolute(given->mount_point).lexically_normal();
  if (!out.mount_point.has_filename() && out.mount_point != "/") {
    out.mount_point = out.mount_point.parent_path();
  }
  return out;
}

}  // namespace skein
