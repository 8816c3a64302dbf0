#include "discovery/registry_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "discovery/registry.h"

namespace skein {
namespace {

constexpr std::uint32_t kEvents = IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ONLYDIR;

// Adding a watch again changes nothing, and finds a folder that was removed and made anew.
void watch(int inotify, const std::vector<std::filesystem::path>& run_dirs) {
  for (const auto& run_dir : run_dirs) {
    ::inotify_add_watch(inotify, run_dir.c_str(), kEvents);
    ::inotify_add_watch(inotify, registry_dir(run_dir).c_str(), kEvents);
  }
}

void drain(int inotify) {
  std::array<char, 4096> events;
  while (::read(inotify, events.data(), events.size()) > 0) continue;
}

}  // namespace

RegistryWatch::RegistryWatch(std::vector<std::filesystem::path> run_dirs, Report report)
    : run_dirs_(std::move(run_dirs)),
      report_(std::move(report)),
      inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
      stopping_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      thread_([this](std::stop_token stop) { run(stop); }) {}

RegistryWatch::~RegistryWatch() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  // Without the eventfd (descriptors ran out) the thread sees the request at its next slow poll.
  [[maybe_unused]] const ssize_t written = ::write(stopping_.get(), &one, sizeof one);
}

void RegistryWatch::run(std::stop_token stop) {
  std::optional<std::vector<Node>> known;
  while (!stop.stop_requested()) {
    // Watched before read: what changes in between is an event.
    watch(inotify_.get(), run_dirs_);
    if (auto nodes = read_all(); nodes != known) {
      known = nodes;
      report_(std::move(nodes));
    }
    // poll() ignores a negative descriptor.
    std::array<pollfd, 2> waiting{{{inotify_.get(), POLLIN, 0}, {stopping_.get(), POLLIN, 0}}};
    ::poll(waiting.data(), waiting.size(), static_cast<int>(kSlowPoll.count()));
    drain(inotify_.get());
  }
}

std::vector<Node> RegistryWatch::read_all() const {
  std::vector<Node> all;
  std::set<std::string> ids;
  for (const auto& run_dir : run_dirs_) {
    for (Node& node : read_registry(registry_dir(run_dir))) {
      if (ids.insert(node.id).second) all.push_back(std::move(node));
    }
  }
  return all;
}

}  // namespace skein
