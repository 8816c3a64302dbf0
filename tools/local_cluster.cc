#include "tools/local_cluster.h"

#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <sstream>

namespace skein {
namespace {

namespace fs = std::filesystem;

// A data server opens its store and listens: milliseconds, but a cold disk of an old computer.
constexpr std::chrono::milliseconds kReady{20'000};
// skein-mount waits up to 5 s for its first node.
constexpr std::chrono::milliseconds kMounted{20'000};
// A server finishes the requests in flight, a mount publishes what it holds.
constexpr std::chrono::milliseconds kEnd{10'000};
constexpr int kStepMs = 20;  // between two looks at what sends no event

// Octal escapes of mountinfo, "\040" for a space.
std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Waits one step, or less when a signal is pending.
void pause_briefly() { ::poll(nullptr, 0, kStepMs); }

}  // namespace

Result<RunningNode> parse_ready_line(const std::string& line) {
  using Value = std::optional<std::string>;
  const auto value = [&](std::string_view key, std::string_view next) -> Value {
    const std::size_t begin = line.find(key);
    if (begin == std::string::npos) return std::nullopt;
    const std::size_t from = begin + key.size();
    const std::size_t end = line.find(next, from);
    if (end == std::string::npos) return std::nullopt;
    return line.substr(from, end - from);
  };
  const auto url = value("ready url=", " root=");
  const auto root = value(" root=", " id=");
  const auto id = value(" id=", " cluster=");
  if (!url || !root || !id) {
    return Error{std::errc::bad_message, "not the line of a server that is ready: " + line};
  }
  return RunningNode{*url, *root, *id};
}

bool is_mount_point(const fs::path& point) {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    std::istringstream words(line);
    std::string id, parent, device, root, place;
    words >> id >> parent >> device >> root >> place;
    if (unescaped(place) == point.string()) return true;
  }
  return false;
}

LocalCluster::LocalCluster(LocalClusterOptions options, Messages& messages)
    : options_(std::move(options)), messages_(messages) {}

LocalCluster::~LocalCluster() { stop(); }

Result<void> LocalCluster::start(const std::function<bool()>& interrupted) {
  std::error_code failed;
  // The mount point first: it is the likelier mistake, and nothing runs yet.
  if (options_.mount_point) {
    if (auto prepared = prepare_mount_point(); !prepared) return prepared;
  }
  for (int number = 1; number <= options_.nodes; ++number) {
    if (auto started = start_node(number); !started) return started;
  }
  const Deadline deadline = Deadline::after(kReady);
  for (Child& server : servers_) {
    for (;;) {
      if (interrupted()) return Error{std::errc::interrupted, "interrupted"};
      auto line = server.read_line(Deadline::after(std::chrono::milliseconds(kStepMs)));
      if (line) {
        auto node = parse_ready_line(*line);
        if (!node) return node.error();
        nodes_.push_back(std::move(*node));
        break;
      }
      if (line.error().code == std::errc::timed_out && !deadline.passed()) continue;
      if (line.error().code != std::errc::timed_out) {
        // It says why itself, on our standard error.
        return Error{line.error().code, server.label() + " did not start"};
      }
      return Error{line.error().code, server.label() + " was not ready within 20 s"};
    }
  }
  if (options_.mount_point) return start_mount(interrupted);
  return {};
}

Result<void> LocalCluster::start_node(int number) {
  const std::string name = "node" + std::to_string(number);
  const fs::path root = options_.root / name;
  std::error_code failed;
  fs::create_directories(root, failed);
  if (failed) return errno_error(failed.value(), root.string());
  auto program = find_program("skein-dataserver");
  if (!program) return program.error();
  auto server = Child::start(name, {*program, "--root", root.string(), "--port", "0", "--cluster",
                                    options_.cluster, "--advertise", options_.advertise});
  if (!server) return server.error();
  servers_.push_back(std::move(*server));
  return {};
}

Result<void> LocalCluster::prepare_mount_point() {
  fs::path& point = *options_.mount_point;
  std::error_code failed;
  made_mount_point_ = fs::create_directories(point, failed);
  if (failed) return errno_error(failed.value(), point.string());
  point = fs::canonical(point, failed);
  if (failed) return errno_error(failed.value(), point.string());
  if (is_mount_point(point)) {
    return Error{std::errc::device_or_resource_busy,
                 point.string() + ": something is mounted there already"};
  }
  return {};
}

Result<void> LocalCluster::start_mount(const std::function<bool()>& interrupted) {
  auto program = find_program("skein-mount");
  if (!program) return program.error();
  const fs::path& point = *options_.mount_point;
  std::vector<std::string> command{*program, point.string(), "--foreground", "--cluster",
                                   options_.cluster};
  for (const RunningNode& node : nodes_) command.insert(command.end(), {"--node", node.url});
  auto mount = Child::start("mount", command);
  if (!mount) return mount.error();
  mounts_.push_back(std::move(*mount));
  const Deadline deadline = Deadline::after(kMounted);
  while (!is_mount_point(point)) {
    if (interrupted()) return Error{std::errc::interrupted, "interrupted"};
    if (mounts_.front().how_it_ended()) {
      return Error{std::errc::io_error, "the mount did not start"};
    }
    if (deadline.passed()) {
      return Error{std::errc::timed_out, point.string() + " was not mounted within 20 s"};
    }
    pause_briefly();
  }
  return {};
}

std::optional<std::string> LocalCluster::first_ended() {
  for (std::vector<Child>* children : {&mounts_, &servers_}) {
    for (Child& child : *children) {
      if (auto how = child.how_it_ended()) {
        announced_ = child.pid();
        return child.label() + " " + *how;
      }
    }
  }
  return std::nullopt;
}

bool LocalCluster::end(std::vector<Child>& children) {
  const auto all_ended = [&] {
    bool all = true;
    for (Child& child : children) all = child.how_it_ended().has_value() && all;
    return all;
  };
  bool in_time = true;
  for (const int number : {SIGTERM, SIGKILL}) {
    for (const Child& child : children) {
      child.signal(number);
      child.signal(SIGCONT);  // a stopped process ends only when it goes on
    }
    const Deadline deadline = Deadline::after(kEnd);
    while (!all_ended() && !deadline.passed()) pause_briefly();
    if (all_ended()) break;
    in_time = false;
    for (Child& child : children) {
      if (!child.how_it_ended()) messages_.failure(child.label() + " did not end in time");
    }
  }
  bool well = in_time;
  for (Child& child : children) {
    const auto how = child.how_it_ended();
    if (!in_time || !how || child.ended_well() || announced_ == child.pid()) continue;
    messages_.failure(child.label() + " " + *how + " instead of ending in order");
    well = false;
  }
  children.clear();
  return well;
}

bool LocalCluster::release_mount_point() {
  if (!options_.mount_point) return true;
  const fs::path& point = *options_.mount_point;
  bool released = true;
  if (is_mount_point(point)) {
    // Its process was killed. Lazily, because an open file of someone must not keep it there.
    if (::umount2(point.c_str(), MNT_DETACH) != 0) {
      auto unmount = Child::start("fusermount3", {"/usr/bin/fusermount3", "-u", "-z", point});
      const Deadline deadline = Deadline::after(kEnd);
      while (unmount && !unmount->how_it_ended() && !deadline.passed()) pause_briefly();
    }
    released = !is_mount_point(point);
    if (!released) messages_.failure(point.string() + ": could not be unmounted");
  }
  std::error_code ignored;  // not empty, or in use: it stays
  if (released && made_mount_point_) fs::remove(point, ignored);
  made_mount_point_ = false;
  return released;
}

bool LocalCluster::stop() {
  const bool ran_mount = !mounts_.empty();
  bool clean = end(mounts_);
  if (ran_mount || made_mount_point_) clean = release_mount_point() && clean;
  return end(servers_) && clean;
}

}  // namespace skein
