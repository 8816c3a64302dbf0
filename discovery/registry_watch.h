// Reports the nodes in the registries of this host, once at the start and after each change: at
// once by inotify; within kSlowPoll where it can't tell, for a folder that does not exist yet and
// for a process that died without removing its file. Owns a thread, joined by the destructor.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/fd.h"
#include "core/node.h"

namespace skein {

class RegistryWatch {
 public:
  static constexpr std::chrono::milliseconds kSlowPoll{1000};
  using Report = std::function<void(std::vector<Node>)>;

  // Reads `run_dirs`; a node in several is reported from the first. `report` is called from the
  // thread of the watch. Without inotify (its limits are per user) the slow poll does all.
  RegistryWatch(std::vector<std::filesystem::path> run_dirs, Report report);
  ~RegistryWatch();
  RegistryWatch(const RegistryWatch&) = delete;
  RegistryWatch& operator=(const RegistryWatch&) = delete;

 private:
  void run(std::stop_token stop);
  std::vector<Node> read_all() const;

  const std::vector<std::filesystem::path> run_dirs_;
  const Report report_;
  const Fd inotify_;
  const Fd stopping_;  // eventfd, readable when the thread shall end
  std::jthread thread_;
};

}  // namespace skein
