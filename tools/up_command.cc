#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "core/socket.h"
#include "tools/command_line.h"
#include "tools/commands.h"
#include "tools/json_line.h"
#include "tools/local_cluster.h"

namespace skein {
namespace {

constexpr int kMostNodes = 64;  // processes of one host, for trying things out
// Children say by SIGCHLD that they are no more; this is for what no signal tells.
constexpr std::chrono::seconds kLook{60};

struct UpOptions {
  std::string root;
  int nodes = 3;
  std::optional<std::string> mount_point;
  std::optional<std::string> advertise;
  bool json = false;
};

// The signals that end us, and SIGCHLD, as a descriptor. Blocked for the life of the process.
class Signals {
 public:
  Signals() {
    ::sigemptyset(&set_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD}) {
      ::sigaddset(&set_, number);
    }
    ::sigprocmask(SIG_BLOCK, &set_, nullptr);
    fd_.reset(::signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  bool valid() const { return fd_.valid(); }

  // Takes what has come; true if one of the signals asked us to end.
  bool asked_to_end() {
    signalfd_siginfo info{};
    while (::read(fd_.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo != SIGCHLD) asked_ = true;
    }
    return asked_;
  }
  void wait() { (void)wait_ready(fd_.get(), POLLIN, Deadline::after(kLook)).ok(); }

 private:
  sigset_t set_;
  Fd fd_;
  bool asked_ = false;
};

std::string advertise_of(const UpOptions& options, const Config& config) {
  if (options.advertise) return *options.advertise;
  const Setting& setting = config.get("server.advertise");
  if (setting.origin != "default") return setting.value;
  // The daemon's own socket: there while it runs.
  return ::access("/run/avahi-daemon/socket", F_OK) == 0 ? "mdns" : "local";
}

void show_ready(const LocalCluster& cluster, bool json, Output& out) {
  const LocalClusterOptions& options = cluster.options();
  const std::string mount = options.mount_point ? options.mount_point->string() : "";
  if (json) {
    std::vector<std::string> urls;
    std::vector<std::string> nodes;
    for (const RunningNode& node : cluster.nodes()) {
      urls.push_back(json_string(node.url));
      nodes.push_back(JsonLine()
                          .text("url", node.url)
                          .text("root", node.root.string())
                          .text("id", node.id)
                          .str());
    }
    out.line(JsonLine()
                 .number("pid", ::getpid())
                 .text("cluster", options.cluster)
                 .json("urls", json_array(urls))
                 .json("nodes", json_array(nodes))
                 .json("mount", mount.empty() ? "null" : json_string(mount))
                 .str());
    return;
  }
  const std::string& url = cluster.nodes().front().url;
  const std::string me = "skein --cluster '" + options.cluster + "'";
  out.line("cluster " + options.cluster + " is up:");
  for (const RunningNode& node : cluster.nodes()) {
    out.line("  " + node.url + "  serves " + out.name(node.root.string()));
  }
  if (!mount.empty()) out.line("  mounted on " + out.name(mount));
  out.line("try:");
  out.line("  " + me + " put FILE /");
  out.line("  " + me + " ls -l /");
  out.line("  curl " + url);
  if (!mount.empty()) out.line("  ls -l " + out.name(mount));
  out.line("Ctrl-C ends it; files stay in " + out.name(options.root.string()) + ".");
}

ExitStatus run_up(const UpOptions& options, const Surroundings& with) {
  if (!with.flags.nodes.empty()) {
    with.messages.failure("--node does not go with it: it starts the nodes itself");
    return ExitStatus::kWrongUsage;
  }
  Signals signals;
  if (!signals.valid()) {
    with.messages.failure(errno_error(errno, "signalfd").what);
    return ExitStatus::kSomeFailed;
  }
  LocalClusterOptions cluster_options{
      .root = options.root,
      .nodes = options.nodes,
      .mount_point = std::nullopt,
      .cluster = with.config.text("cluster"),
      .advertise = advertise_of(options, with.config)};
  if (options.mount_point) cluster_options.mount_point = *options.mount_point;
  LocalCluster cluster(std::move(cluster_options), with.messages);
  const auto started = cluster.start([&] { return signals.asked_to_end(); });
  if (!started && started.error().code != std::errc::interrupted) {
    with.messages.failure(started.error().what);
  }
  if (started) {
    show_ready(cluster, options.json, with.out);
    // Whoever started us reads the line now.
    if (auto shown = with.out.flush(); !shown) with.messages.failure(shown.error().what);
    while (!signals.asked_to_end() && with.messages.failures() == 0) {
      if (const auto ended = cluster.first_ended()) {
        with.messages.failure(*ended + "; ending the cluster");
      } else {
        signals.wait();
      }
    }
  }
  cluster.stop();
  return status_of(with.messages);
}

}  // namespace

Command add_up(CLI::App& parent) {
  CLI::App* app = add_command(
      parent,
      {.name = "up",
       .usage = "[options] --root DIR",
       .summary = "run a cluster of this host",
       .description =
           "Starts data servers on free ports, serving DIR/node1, DIR/node2 and so on (made if\n"
           "missing), mounts the cluster if asked, says what runs, and waits. Ctrl-C or SIGTERM\n"
           "ends everything in order; nothing outlives it, also when it is killed with -9. If one\n"
           "of its programs ends by itself, all are ended.",
       .example = "skein up --root ~/skein --mount /mnt/skein",
       .exit_status = "0 ended as asked; 1 something failed; 2 wrong usage"});
  auto options = std::make_shared<UpOptions>();
  app->add_option("--root", options->root, "folder of the nodes' folders")
      ->type_name("DIR")
      ->required();
  app->add_option("--nodes", options->nodes, "data servers to start [default: 3]")
      ->type_name("N")
      ->check(CLI::Range(1, kMostNodes).description(""));
  app->add_option("--mount", options->mount_point, "mount the cluster there; made if missing")
      ->type_name("DIR");
  app->add_option("--advertise", options->advertise,
                  "mdns, local or none [default: as configured; else mdns where Avahi runs]")
      ->type_name("HOW")
      ->check(CLI::IsMember({"mdns", "local", "none"}).description(""));
  app->add_flag("--json", options->json,
                "when ready, one JSON object: pid, cluster, urls, nodes, mount");
  return {app, [options](const Surroundings& with) { return run_up(*options, with); }};
}

}  // namespace skein
