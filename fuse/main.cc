// skein-mount: the cluster as a folder. Wires the parts together, top to bottom.
#include <malloc.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <cstdio>
#include <future>
#include <mutex>
#include <thread>

#include "core/fd.h"
#include "core/log.h"
#include "fuse/daemon.h"
#include "fuse/kernel_session.h"
#include "fuse/metrics_port.h"
#include "fuse/mount_point.h"
#include "fuse/options.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

// Blocks of read-ahead are reused instead of being given back to the kernel and faulted in again.
constexpr int kKeepBlocksBytes = 64 << 20;

// The signals that end the mount, for sigtimedwait(2) in one thread; blocked in all.
sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

// Waits for a first node. mDNS reports what it knows in its own time, and nodes may still start.
class NodeWait {
 public:
  void changed() {
    const std::lock_guard lock(mutex_);
    changed_ = true;
    wake_.notify_all();
  }
  NodeSnapshot wait(Membership& membership, Deadline deadline) {
    NodeSnapshot nodes = membership.wait_settled(deadline);
    std::unique_lock lock(mutex_);
    while (nodes->empty() && !deadline.passed()) {
      wake_.wait_until(lock, deadline.when(), [&] { return changed_; });
      changed_ = false;
      nodes = membership.nodes();
    }
    return nodes;
  }

 private:
  std::mutex mutex_;  // guards changed_
  std::condition_variable wake_;
  bool changed_ = false;
};

std::string no_node_line(const MountOptions& options) {
  std::string looked;
  const auto add = [&](const std::string& more) {
    looked += (looked.empty() ? "" : ", ") + more;
  };
  for (const NodeAddress& node : options.nodes) add(node.text());
  if (options.mdns) add("cluster '" + options.cluster + "' by mDNS");
  if (options.registry) add("cluster '" + options.cluster + "' in this host's registry");
  return "skein-mount: no node found within " + std::to_string(options.start_wait.count()) +
         " ms; looked for " + looked +
         "; start a skein-dataserver, name one with --node URL, or mount anyway with "
         "--wait-for-nodes 0";
}

// Nodes that were named one by one are a cluster of their own: its tree must not be mixed with that
// of other nodes. Known by their ids where they answered, because a port may be another node's
// tomorrow.
std::string tree_name(const MountOptions& options, const NodeList& alive) {
  if (options.mdns || options.registry || options.nodes.empty()) return options.cluster;
  std::vector<std::string> keys;
  for (const NodeAddress& address : options.nodes) {
    const auto known = std::find_if(alive.begin(), alive.end(),
                                    [&](const Node& node) { return node.address == address; });
    keys.push_back(known == alive.end() ? address.text() : known->key());
  }
  std::sort(keys.begin(), keys.end());
  std::string name = "nodes";
  for (const std::string& key : keys) name += " " + key;
  // File names end at 255 bytes; a hash keeps long lists apart.
  return name.size() <= 100 ? name : "nodes " + std::to_string(std::hash<std::string>()(name));
}

// A release follows its close() within moments, unless the machine is very busy.
constexpr auto kPatienceForCloses = 1s;

// Ends the session when a signal says so; gone when it is destroyed.
std::jthread watch_signals(KernelSession& session, Unsealed& unsealed) {
  return std::jthread([&](const std::stop_token& stop) {
    const sigset_t signals = ending_signals();
    const timespec turn{0, 200'000'000};
    bool ending = false;
    while (!stop.stop_requested()) {
      const int signal = ::sigtimedwait(&signals, nullptr, &turn);
      if (signal > 0 && !ending) {
        spdlog::info("ending: signal={}", signal);
        unsealed.wait_for_closes(Deadline::after(kPatienceForCloses));
        ending = true;
      }
      // Again each turn: the one who serves may have been about to wait, and missed the call.
      if (ending) session.end();
    }
  });
}

void add_gauges(MountMetrics& metrics, Membership& membership, Unsealed& unsealed, Spool& spool) {
  metrics.add_gauge("skein_mount_nodes_alive", "Nodes that answer.", [&] {
    return static_cast<double>(membership.nodes()->size());
  });
  metrics.add_gauge("skein_mount_nodes_set_aside", "Nodes that are named and do not answer.", [&] {
    const auto states = membership.states();
    return static_cast<double>(std::count_if(states.begin(), states.end(), [](const auto& state) {
      return state.kind == NodeState::Kind::kSetAside;
    }));
  });
  metrics.add_gauge("skein_mount_unsealed_files", "Files being written, or about to be sealed.",
                    [&] { return static_cast<double>(unsealed.count()); });
  metrics.add_gauge("skein_mount_recover_files", "Files in recover/: see skein recover.",
                    [&] { return static_cast<double>(spool.kept()); });
}

// Each file being written takes two descriptors, each one read one: the soft limit is soon reached.
void allow_many_files() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

int serve(const MountOptions& options, Daemon& daemon) {
  allow_many_files();
  const auto fail = [&](const Error& error) {
    return daemon.report_failure("skein-mount: " + error.what, kExitFailed);
  };
  // What the membership's callback uses outlives it, also where this returns early.
  NodeWait node_wait;
  std::atomic<Directories*> known_directories{nullptr};
  std::atomic<KernelSession*> known_session{nullptr};
  auto membership = Membership::start(
      {options.cluster, options.nodes, options.mdns, options.registry, 1000ms});
  membership->on_change([&](const NodeSnapshot& nodes) {
    spdlog::info("nodes changed: alive={}", nodes->size());
    if (Directories* directories = known_directories) directories->distrust_all();
    if (KernelSession* session = known_session) session->doubt_entries();
    node_wait.changed();
  });
  const NodeSnapshot nodes =
      node_wait.wait(*membership, Deadline::after(std::max(options.start_wait, 1ms)));
  if (nodes->empty() && options.start_wait.count() > 0) {
    return daemon.report_failure(no_node_line(options), kExitNoNode);
  }
  Tree::Options tree_options;
  tree_options.folder = options.cache_dir;
  tree_options.cluster = tree_name(options, *nodes);
  tree_options.max_bytes = options.cache_bytes;
  auto tree = Tree::open(tree_options);
  if (!tree) return fail(tree.error());
  auto spool = Spool::open(options.spool_dir, options.cluster, options.spool_bytes);
  if (!spool) return fail(spool.error());
  if (const std::size_t kept = (*spool)->kept(); kept > 0) {
    spdlog::warn("files wait in recover/, see `skein recover`: files={} folder={}", kept,
                 (*spool)->folder().string());
  }

  // One operation may ask for a file's nodes and then talk to two of them in turn; what is left
  // of the deadline is for our own work in between.
  NodeClient quick(options.deadline * 3 / 10);
  NodeClient bulk(options.deadline / 2);
  LaneClient lanes(options.deadline / 2);
  LaneClient* const lanes_used = options.bypass ? &lanes : nullptr;
  ReadyStages ready_stages(lanes, real_clock());
  Placement placement(real_clock());
  Uploader uploader(bulk, placement, *membership);
  Downloader finder(quick, *membership);
  Downloader downloader(bulk, *membership);
  Directories directories(**tree, quick, *membership, {options.listing_trust, real_clock()});
  InodeTable inodes;
  SpaceCounter space(quick, *membership);
  std::atomic<int> streams{0};
  std::atomic<int> senders{0};

  MountedTree* sealed_into = nullptr;
  Unsealed unsealed({options.deadline, options.seal_on_kill},
                    [&](const std::vector<Unsealed::Sealed>& files) {
                      sealed_into->sealed(files);
                    });
  MountedTree shown({directories, inodes, unsealed, quick, placement, *membership, lanes_used},
                    {options.uid, options.gid, options.umask, ::time(nullptr), options.deadline});
  sealed_into = &shown;
  Appender appender(bulk, placement, *membership);
  Files files({shown, unsealed, inodes,
               {lanes_used, bulk, finder, downloader, *membership, options.deadline, streams,
                std::make_shared<ChunkMemory>()},
               {appender, finder, bulk},
               {lanes_used, &ready_stages,
                {bulk, placement, *membership, uploader, options.deadline}, **spool, senders}});

  Passthrough passthrough(options.passthrough);
  BackingFiles backing;
  std::promise<void> ready;
  OpenFiles open_files;
  KeptNames kept_names(real_clock());
  AwakeProcessors awake;
  FileFacts facts(shown, finder);
  MountMetrics metrics;
  add_gauges(metrics, *membership, unsealed, **spool);
  KernelRequests requests{shown,   files, open_files,  unsealed, inodes,     space,
                          metrics, facts, passthrough, backing,  kept_names, awake,
                          [&] { ready.set_value(); }, false};
  std::unique_ptr<MetricsPort> metrics_port;
  if (options.metrics_port != 0) {
    auto opened = MetricsPort::open(options.metrics_port, [&] { return metrics.text(); });
    if (!opened) return fail(opened.error());
    metrics_port = std::move(*opened);
  }
  auto session = KernelSession::mount(options, requests);
  if (!session) return fail(session.error());
  known_directories = &directories;
  known_session = session->get();
  const std::jthread signals = watch_signals(**session, unsealed);
  bool reported = false;  // by the starter, until it is joined
  std::jthread starter([&](const std::stop_token& stop) {
    auto answered = ready.get_future();
    while (answered.wait_for(100ms) != std::future_status::ready) {
      if (stop.stop_requested()) return;
    }
    (*session)->tune();
    spdlog::info("mounted: mount_point={} cluster={} nodes={} passthrough={}",
                 options.mount_point.string(), options.cluster, nodes->size(),
                 passthrough.agreed());
    daemon.report_ready(options.log_file);
    reported = true;
  });
  const auto ended = (*session)->serve();
  starter.request_stop();
  starter.join();
  known_session = nullptr;
  known_directories = nullptr;
  // Taken away means that nothing in it was open: what looks open lost only its last message.
  unsealed.end(ended && *ended ? Unsealed::End::kAllClosed : Unsealed::End::kForced);
  open_files.close_all();
  metrics_port.reset();
  membership.reset();
  if (!ended) return fail(ended.error());
  if (!reported) return fail({std::errc::interrupted, "ended by a signal before it was mounted"});
  spdlog::info("unmounted: mount_point={}", options.mount_point.string());
  return 0;
}

int run(const std::string& program, const std::vector<std::string>& arguments) {
  const auto complain = [](const Error& error, int status) {
    std::fprintf(stderr, "skein-mount: %s\n", error.what.c_str());
    return status;
  };
  auto config = Config::load();
  if (!config) return complain(config.error(), kExitUsage);
  TextToPrint print;
  const auto options =
      parse_mount_options(*config, arguments, is_mount_helper(program), &print);
  if (!options) return complain(options.error(), kExitUsage);
  if (!print.text.empty()) return std::fputs(print.text.c_str(), stdout) < 0 ? kExitFailed : 0;
  if (auto fit = check_mount_point(options->mount_point); !fit) {
    return complain(fit.error(), kExitFailed);
  }
  if (auto fuse = check_fuse_device(); !fuse) return complain(fuse.error(), kExitFailed);
  std::error_code ignored;  // the tree's and the spool's own messages are better
  std::filesystem::create_directories(options->cache_dir, ignored);
  if (auto log = set_up_log("skein-mount", {options->log_level, options->log_file}); !log) {
    return complain(log.error(), log.error().code == std::errc::invalid_argument ? kExitUsage
                                                                                 : kExitFailed);
  }
  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  ::mallopt(M_MMAP_THRESHOLD, kKeepBlocksBytes);
  ::mallopt(M_TRIM_THRESHOLD, kKeepBlocksBytes);
  ::umask(022);
  if (options->foreground) {
    Daemon here = Daemon::in_foreground();
    return serve(*options, here);
  }
  auto daemon = Daemon::start();
  if (!daemon) return complain(daemon.error(), kExitFailed);
  return serve(*options, *daemon);
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  skein::fill_standard_descriptors();
  return skein::run(argc > 0 ? argv[0] : "", std::vector<std::string>(argv + 1, argv + argc));
}
