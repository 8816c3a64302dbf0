// The client of the streamer's benchmark.
//
// usage: bench-stream-load MODE SIZE_BYTES COUNT BYTES_PER_S PREFIX PORT...
//          streams COUNT files PREFIX/<n> of SIZE_BYTES to the nodes on this host's PORTs
//   MODE given     FileStreamer is given frames of as many buffers as the queue holds, which may be
//                  filled again when they come back; the nodes are taken as they are named
//        ring      the same with a ring of 128 buffers, or fewer if the queue holds fewer
//        live      the same, with a membership that notices who dies and comes back
//        copied    FileStreamer copies one frame again and again
//        bare      the least a program can do: one thread per node sends one buffer again and again
//                  Before that as many as the queue holds, not counted: memory fresh from the kernel
//                  costs more than sending does.
//   BYTES_PER_S    paced like a camera, with a queue of two seconds; 0 = as fast as they are taken
// Prints one JSON object. Exit status: 0, or 1 if a file was not stored.
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/http_stream.h"
#include "core/socket.h"
#include "streamer/file_streamer.h"

namespace {

using namespace std::chrono_literals;
using skein::Deadline;
using SteadyClock = std::chrono::steady_clock;

// Some cameras' drivers take fewer, few take more.
constexpr std::size_t kRingBuffers = 128;

struct Task {
  std::string mode;
  std::size_t size = 0;
  long first = 0;
  long count = 0;
  double bytes_per_s = 0;
  std::string prefix;
  std::vector<skein::NodeAddress> nodes;
};

struct Outcome {
  double seconds = 0, cpu_s = 0;
  long lost = 0;
  std::uint64_t offered_again = 0;
  double least_headroom_s = 1e9;  // of half-second looks, after the first two seconds
  double early_mib = 0, late_mib = 0;  // resident after ten seconds, and at the end
};

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "bench-stream-load: %s\n", why.c_str());
  std::_Exit(1);
}

class GivenNodes : public skein::Membership {
 public:
  explicit GivenNodes(const std::vector<skein::NodeAddress>& addresses) {
    skein::NodeList list;
    for (const auto& address : addresses) list.emplace_back().address = address;
    nodes_ = std::make_shared<const skein::NodeList>(std::move(list));
  }
  skein::NodeSnapshot nodes() const override { return nodes_; }
  std::vector<skein::NodeState> states() const override { return {}; }
  skein::NodeSnapshot wait_settled(Deadline) override { return nodes_; }
  void report_failure(const std::string&, const skein::Error&) override {}
  void on_change(std::function<void(skein::NodeSnapshot)>) override {}

 private:
  skein::NodeSnapshot nodes_;
};

double resident_mib() {
  long pages = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// A camera's buffers: a frame is put in the one that has come back first.
class Ring {
 public:
  Ring(std::size_t size, std::size_t count) : buffers_(count, std::string(size, 'x')) {
    for (const std::string& buffer : buffers_) free_.push_back(&buffer);
  }
  // Waits for one that is free; nothing if there is none by the deadline.
  std::optional<skein::GivenBytes> take(Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (!back_.wait_until(lock, deadline.when(), [&] { return !free_.empty(); })) return std::nullopt;
    const std::string* const buffer = free_.front();
    free_.pop_front();
    const auto back = [this](const std::string* again) {
      const std::lock_guard locked(mutex_);
      free_.push_back(again);
      back_.notify_one();
    };
    return skein::GivenBytes{*buffer, std::shared_ptr<const std::string>(buffer, back)};
  }
  bool all_back() {
    const std::lock_guard lock(mutex_);
    return free_.size() == buffers_.size();
  }

 private:
  const std::vector<std::string> buffers_;

  std::mutex mutex_;  // guards free_
  std::condition_variable back_;
  std::deque<const std::string*> free_;
};

// What comes before the task: the numbers after its own.
Task warm_up(const Task& task) {
  Task warm = task;
  warm.first = task.count;
  warm.count = static_cast<long>(skein::FileStreamer::Options().queue_bytes / task.size) + 1;
  return warm;
}

Outcome stream(const Task& task) {
  std::unique_ptr<skein::Membership> membership;
  if (task.mode == "live") {
    skein::MembershipOptions options;
    options.mdns = options.registry = false;
    options.static_nodes = task.nodes;
    membership = skein::Membership::start(options);
    membership->wait_settled(Deadline::after(10s));
  } else {
    membership = std::make_unique<GivenNodes>(task.nodes);
  }
  skein::NodeClient client(5s);
  skein::FileStreamer::Options options;
  if (task.bytes_per_s > 0) {
    options.queue_bytes =
        std::max(options.queue_bytes, static_cast<std::uint64_t>(2 * task.bytes_per_s));
  }
  const bool copies = task.mode == "copied";
  std::size_t buffers = copies ? 0 : options.queue_bytes / task.size + 1;
  if (task.mode == "ring") buffers = std::min(buffers, kRingBuffers);
  Ring ring(task.size, buffers);
  skein::FileStreamer streamer(*membership, client, std::move(options));
  const std::vector<char> frame(task.size, 'x');
  const auto put = [&](long n, Deadline deadline) {
    const auto path = skein::ClusterPath::parse(task.prefix + "/" + std::to_string(n));
    if (copies) return static_cast<bool>(streamer.put(*path, frame, deadline));
    auto given = ring.take(deadline);
    return given && streamer.put_given(*path, {}, std::move(*given), deadline);
  };
  Outcome outcome;
  const Task warm = warm_up(task);
  for (long n = warm.first; n < warm.first + warm.count; ++n) {
    if (!put(n, Deadline::after(60s))) fail("no room for a frame within 60 s");
  }
  const auto not_warm = streamer.finish(Deadline::after(60s));
  if (!not_warm) fail(not_warm.error().what);
  if (!not_warm->empty()) fail(not_warm->front().error.what);
  const auto start = SteadyClock::now();
  const double cpu_before = cpu_seconds();
  auto next_look = start + 2s;
  for (long n = 0; n < task.count; ++n) {
    if (task.bytes_per_s > 0) {
      const double due = static_cast<double>(n) * static_cast<double>(task.size) / task.bytes_per_s;
      std::this_thread::sleep_until(start + std::chrono::duration_cast<SteadyClock::duration>(
                                                std::chrono::duration<double>(due)));
    }
    if (!put(n, Deadline::after(task.bytes_per_s > 0 ? 10ms : 60s))) {
      ++outcome.lost;
      if (task.bytes_per_s == 0) fail("no room for a frame within 60 s");
    }
    const auto now = SteadyClock::now();
    if (now < next_look) continue;
    next_look = now + 500ms;
    if (outcome.early_mib == 0 && now - start >= 10s) outcome.early_mib = resident_mib();
    outcome.least_headroom_s = std::min(outcome.least_headroom_s, streamer.counters().headroom_s);
  }
  const auto failures = streamer.finish(Deadline::after(120s));
  outcome.seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
  outcome.cpu_s = cpu_seconds() - cpu_before;
  outcome.late_mib = resident_mib();
  if (!failures) fail(failures.error().what);
  if (!ring.all_back()) fail("a buffer did not come back");
  for (const auto& failure : *failures) {
    if (++outcome.lost == 1) std::fprintf(stderr, "%s\n", failure.error.what.c_str());
  }
  const auto counters = streamer.counters();
  outcome.offered_again = counters.offered_again_files;
  return outcome;
}

// One connection: head and body of each file in one call, answers read and counted by a thread.
void send_bare(const Task& task, std::size_t which) {
  auto fd = skein::connect_tcp(task.nodes[which], Deadline::after(10s));
  if (!fd) fail(fd.error().what);
  skein::HttpStream stream(std::move(*fd));
  const std::string body(task.size, 'x');
  const auto step = static_cast<long>(task.nodes.size());
  const long first = task.first + static_cast<long>(which);
  const long end = task.first + task.count;
  const std::jthread reader([&, socket = ::dup(stream.fd())] {
    skein::HttpStream answers{skein::Fd(socket)};
    for (long n = first; n < end; n += step) {
      const auto head = answers.read_head(Deadline::after(60s));
      if (!head || !*head || !(*head)->starts_with("HTTP/1.1 200")) fail("bad answer");
    }
  });
  for (long n = first; n < end; n += step) {
    const std::string head = "PUT /" + task.prefix + "/" + std::to_string(n) +
                             " HTTP/1.1\r\nHost: bench\r\nContent-Length: " +
                             std::to_string(task.size) + "\r\n\r\n";
    if (auto sent = stream.write(head, body, Deadline::after(60s)); !sent) fail(sent.error().what);
  }
}

void send_bare(const Task& task) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < task.nodes.size(); ++i) {
    threads.emplace_back([&task, i] { send_bare(task, i); });
  }
}

Outcome measure_bare(const Task& task) {
  send_bare(warm_up(task));
  const auto start = SteadyClock::now();
  const double cpu_before = cpu_seconds();
  send_bare(task);
  Outcome outcome;
  outcome.seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
  outcome.cpu_s = cpu_seconds() - cpu_before;
  return outcome;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) fail("see the head of stream_load.cc for usage");
  spdlog::set_level(spdlog::level::off);
  Task task{argv[1], std::strtoull(argv[2], nullptr, 10), 0, std::atol(argv[3]), std::atof(argv[4]),
            argv[5], {}};
  for (int i = 6; i < argc; ++i) {
    task.nodes.push_back({"127.0.0.1", static_cast<std::uint16_t>(std::atoi(argv[i]))});
  }
  const Outcome outcome = task.mode == "bare" ? measure_bare(task) : stream(task);
  const double cpu = outcome.cpu_s;
  const auto count = static_cast<double>(task.count);
  std::printf("{\"seconds\":%.6f,\"mb_per_s\":%.1f,\"per_s\":%.1f,\"cpu_s\":%.3f,\"per_cpu_s\":%.1f,"
              "\"lost\":%ld,\"offered_again\":%llu,\"headroom_s\":%.2f,\"early_mib\":%.1f,"
              "\"late_mib\":%.1f}\n",
              outcome.seconds, static_cast<double>(task.size) * count / outcome.seconds / 1e6,
              count / outcome.seconds, cpu, count / cpu, outcome.lost,
              static_cast<unsigned long long>(outcome.offered_again),
              std::min(outcome.least_headroom_s, 999.0), outcome.early_mib, outcome.late_mib);
  return outcome.lost == 0 ? 0 : 1;
}
