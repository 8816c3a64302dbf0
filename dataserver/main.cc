// skein-dataserver: builds everything in dependency order, says "ready", waits for a signal, and
// takes everything down in the reverse order.
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include <spdlog/spdlog.h>

#include "core/fd.h"
#include "core/log.h"
#include "core/socket.h"
#include "dataserver/file_store.h"
#include "dataserver/http_connection.h"
#include "dataserver/input_room.h"
#include "dataserver/kept_stages.h"
#include "dataserver/lane_connection.h"
#include "dataserver/lane_socket.h"
#include "dataserver/memory_budget.h"
#include "dataserver/metrics.h"
#include "dataserver/node_status.h"
#include "dataserver/options.h"
#include "dataserver/own_address.h"
#include "dataserver/peer_loop.h"
#include "dataserver/run_as.h"
#include "dataserver/side_thread.h"
#include "dataserver/site.h"
#include "dataserver/stage_shelf.h"
#include "dataserver/table_engine.h"
#include "dataserver/table_reader.h"
#include "dataserver/tables.h"
#include "discovery/advertiser.h"

namespace skein {
namespace {

using namespace std::chrono_literals;

constexpr int kCannotServe = 1;
constexpr int kBacklog = 4096;
// How long requests in flight get to finish after SIGTERM.
constexpr auto kFinishTime = 5s;
// Sixteen raw writers at a time, such as PYME's, are drained into memory; others wait as usual.
constexpr std::size_t kDrainBudgetBytes = 16 * HttpConnection::kDrainBytes;
// The lane's work is short, but for seals that copy or wait for a flush: these hold their thread.
constexpr PeerLoop::Options kLaneLoop{.threads = 64, .max_peers = 4096};
// Stages are dropped a day after they were written: no need to look more often.
constexpr std::chrono::seconds kHousekeeping{600};

int cannot_serve(const std::string& why) {
  std::fprintf(stderr, "skein-dataserver: %s\n", why.c_str());
  return kCannotServe;
}

// A quarter of the descriptors stays for stages, files being sent and the lane; who gets none hears
// 503.
std::size_t allowed_connections(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return std::min(wanted, static_cast<std::size_t>(limit.rlim_cur / 4 * 3));
}

void turn_away(int socket) {
  constexpr std::string_view kBusy =
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
      "Connection: close\r\n\r\n";
  ::send(socket, kBusy.data(), kBusy.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(socket, SHUT_WR);
}

// The lane, if it was asked for and can be had; a node without one is slower, not broken.
std::unique_ptr<LaneSocket> open_lane(const ServerOptions& options, const std::string& node_id) {
  if (!options.lane) return nullptr;
  auto socket = LaneSocket::listen(node_id, options.lane_access);
  if (socket) return std::make_unique<LaneSocket>(std::move(*socket));
  spdlog::warn("no lane, programs on this host will use HTTP: why={}", socket.error().what);
  return nullptr;
}

Node describe(const ServerOptions& options, const FileStore& store, const LaneSocket* lane,
              const NodeAddress& listening) {
  Node node;
  node.address = listening;
  if (listening.host == "0.0.0.0" || listening.host == "::") node.address.host = own_ipv4();
  node.id = store.node_id();
  node.host_id = local_host_id();
  node.name = instance_name(options.cluster, computer_name(), ::getpid());
  node.cluster = options.cluster;
  node.lane = lane ? lane->path() : std::string();
  return node;
}

Result<std::unique_ptr<Advertiser>> advertise(const ServerOptions& options, const Node& node) {
  if (options.advertise == ServerOptions::Advertise::kNone) return std::unique_ptr<Advertiser>();
  Advertiser::Options how;
  how.mdns = options.advertise == ServerOptions::Advertise::kMdns;
  how.all_addresses = options.bind.host == "0.0.0.0" || options.bind.host == "::";
  how.loopback_only = !how.all_addresses && node.address.host.starts_with("127.");
  return Advertiser::start(node, how);
}

MirrorSources::Options mirror_sources(const ServerOptions& options) {
  return {.cluster = options.cluster,
          .allowed = options.mirror_from,
          .mdns = options.advertise == ServerOptions::Advertise::kMdns,
          .registry = options.advertise != ServerOptions::Advertise::kNone};
}

void add_gauges(Metrics& metrics, FileStore& store, const GrowingFiles& growing,
                const PeerLoop& http) {
  metrics.add_gauge("skein_growing_files", "Files that take appends.",
                    [&growing] { return static_cast<double>(growing.count()); });
  metrics.add_gauge("skein_open_connections", "HTTP clients connected.",
                    [&http] { return static_cast<double>(http.peers()); });
  metrics.add_gauge("skein_queue_depth", "Clients that wait for a thread.",
                    [&http] { return static_cast<double>(http.due()); });
  const auto space = [&store](auto field) {
    const auto found = store.space();
    return found ? static_cast<double>((*found).*field) : 0.0;
  };
  metrics.add_gauge("skein_free_bytes", "Free space of the disk, the reserve included.",
                    [space] { return space(&FileStore::Space::free_bytes); });
  metrics.add_gauge("skein_total_bytes", "Size of the disk.",
                    [space] { return space(&FileStore::Space::total_bytes); });
  metrics.add_gauge("skein_torn_files_asked_for",
                    "Requests for files that lost bytes in an unclean stop.",
                    [&store] { return static_cast<double>(store.torn()); });
  metrics.add_gauge("skein_index_entries", "Names held by cached listings.",
                    [&store] { return static_cast<double>(store.index().cached_entries()); });
}

void wait_for_signal(const sigset_t& signals, StageShelf& shelf) {
  const timespec pause{kHousekeeping.count(), 0};
  while (::sigtimedwait(&signals, nullptr, &pause) < 0) shelf.drop_expired();
}

// Tells the connections of every flush, of other nodes' answers and of what was done to tables, as
// long as all are there.
class ReleaseWake {
 public:
  ReleaseWake(SyncGate* gate, Owners& owners, TableEngine* tables, PeerLoop& loop)
      : gate_(gate), owners_(owners), tables_(tables) {
    if (gate_) gate_->on_release([&loop] { loop.wake(); });
    owners_.on_settled([&loop] { loop.wake(); });
    if (tables_) tables_->on_done([&loop] { loop.wake(); });
  }
  ~ReleaseWake() {
    if (gate_) gate_->on_release({});
    owners_.on_settled({});
    if (tables_) tables_->on_done({});
  }
  ReleaseWake(const ReleaseWake&) = delete;
  ReleaseWake& operator=(const ReleaseWake&) = delete;

 private:
  SyncGate* const gate_;
  Owners& owners_;
  TableEngine* const tables_;
};

int serve(const ServerOptions& options, const sigset_t& signals) {
  auto store = FileStore::open(options.root,
                               {.reserve_bytes = options.reserve_bytes, .sync = options.sync});
  if (!store) return cannot_serve(store.error().what);
  auto listener = listen_tcp(options.bind, kBacklog);
  if (!listener) return cannot_serve(listener.error().what);
  const auto listening = local_address(listener->get());
  if (!listening) return cannot_serve(listening.error().what);
  const auto lane_socket = open_lane(options, (*store)->node_id());
  const Node node = describe(options, **store, lane_socket.get(), *listening);

  StageShelf shelf(**store);
  KeptStages kept(**store);
  auto growing = GrowingFiles::open(**store);
  if (!growing) return cannot_serve(growing.error().what);
  NodeStatus status(node, options.bind.host, **store);
  Metrics metrics;
  MirrorSources sources(mirror_sources(options));
  Mirror mirror(**store, sources,
                {.most_at_once = std::max(1, static_cast<int>(options.threads / 4)),
                 .timeout = options.node_deadline});
  Owners owners(**store, sources);
  auto table_engine = TableEngine::open(**store);
  if (!table_engine) return cannot_serve(table_engine.error().what);
  Tables tables(**store, std::move(*table_engine), owners);
  Appends appends(**store, **growing, tables, owners);
  Site site(**store, shelf, appends, tables, mirror, status, metrics);
  MemoryBudget drain_budget(kDrainBudgetBytes);
  // With more of them than spare processors they would only take turns with their owners.
  SideThreads side_threads(std::thread::hardware_concurrency() / 2);
  const int input_room = input_room_bytes();
  auto http = PeerLoop::start(
      std::move(*listener),
      {.threads = options.threads, .max_peers = allowed_connections(options.connections)},
      [&](Fd socket) {
        const HttpConnection::Surroundings around{site, metrics, drain_budget, side_threads,
                                                  (*store)->gate(), input_room};
        return std::make_unique<HttpConnection>(std::move(socket), around, options.stall);
      },
      turn_away);
  if (!http) return cannot_serve(http.error().what);
  const ReleaseWake wake((*store)->gate(), owners, tables.engine(), **http);
  add_gauges(metrics, **store, **growing, **http);
  metrics.add_gauge("skein_kept_stages", "Files whose writer died between close and seal.",
                    [&kept] { return static_cast<double>(kept.count()); });
  std::unique_ptr<PeerLoop> lane;
  if (lane_socket) {
    auto started = PeerLoop::start(
        lane_socket->take_listener(), kLaneLoop,
        [&](Fd socket) -> std::unique_ptr<Peer> {
          if (!options.lane_access.admits(socket.get())) return nullptr;
          return std::make_unique<LaneConnection>(std::move(socket), **store, kept);
        },
        [](int) {});
    if (!started) return cannot_serve(started.error().what);
    lane = std::move(*started);
  }
  auto advertiser = advertise(options, node);
  if (!advertiser) return cannot_serve(advertiser.error().what);

  std::printf("ready url=%s root=%s id=%s cluster=%s\n", node.url().c_str(),
              (*store)->root_name().c_str(), node.id.c_str(), node.cluster.c_str());
  std::fflush(stdout);
  spdlog::info("serving: root={} url={} id={} cluster={}", (*store)->root_name(), node.url(),
               node.id, node.cluster);
  wait_for_signal(signals, shelf);
  spdlog::info("stopping: connections={}", (*http)->peers());
  advertiser->reset();
  (*http)->stop(Deadline::after(kFinishTime));
  mirror.stop();
  if (lane) lane->stop(Deadline::after(kFinishTime));
  return 0;
}

}  // namespace
}  // namespace skein

int main(int argc, char** argv) {
  skein::fill_standard_descriptors();
  if (argc > 0 && std::string_view(argv[0]) == skein::kReaderName) {
    // At once: what is left of a library that has met a damaged file is not to be tidied up.
    std::_Exit(skein::read_table({argv, argv + argc}));
  }
  const auto parsed = skein::parse_command_line(argc, argv);
  if (!parsed.run) return parsed.exit_status;
  if (auto log = skein::set_up_log("skein-dataserver", {parsed.options.log_level, {}}); !log) {
    std::fprintf(stderr, "skein-dataserver: %s\n", log.error().what.c_str());
    return 2;
  }
  if (!parsed.options.user.empty()) {
    if (auto became = skein::run_as(parsed.options.user); !became) {
      return skein::cannot_serve(became.error().what);
    }
  }
  // Before any thread exists, so that all inherit it and the signals wait for sigtimedwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // sendfile(2) has no MSG_NOSIGNAL.
  signal(SIGPIPE, SIG_IGN);
  try {
    return skein::serve(parsed.options, signals);
  } catch (const std::system_error& error) {
    // All threads are made before it serves.
    return skein::cannot_serve(std::string("a thread cannot be started: ") + error.what() +
                               " (ulimit -u and TasksMax= limit them, server.threads asks for most)");
  }
}
