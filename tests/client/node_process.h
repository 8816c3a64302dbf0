// For tests: a real skein-dataserver process on a folder of its own. It is killed, and the folder
// removed, with the object.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <filesystem>
#include <string>

#include "core/node.h"
#include "core/scratch_folder.h"

namespace skein {

class NodeProcess {
 public:
  // `run_folder`: where its lane goes; `root` "" = a folder of its own, removed at the end. Starts at
  // once; fails the test if it does not get ready.
  explicit NodeProcess(const std::filesystem::path& run_folder,
                       const std::filesystem::path& root = {});
  ~NodeProcess();

  const NodeAddress& address() const { return address_; }
  std::filesystem::path file(const std::string& path) const { return root_ / path; }

  // After SIGSTOP it stands still: on a busy machine its threads go on for a while.
  void signal(int number);
  // Kills it with -9 and waits until it is gone.
  void kill();
  // On the same folder and port as before. Precondition: killed.
  void start_again();

 private:
  void start();

  ScratchFolder own_root_;
  std::filesystem::path root_;
  std::filesystem::path run_folder_;
  NodeAddress address_{"127.0.0.1", 0};
  pid_t pid_ = -1;
};

}  // namespace skein
