// Skein's other programs: where they are, and running them as children that can't outlive us.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/fd.h"

namespace skein {

// "skein-mount" or "skein-dataserver": beside this program, in the neighbouring folder of a build
// tree, else in PATH. Errors: no_such_file_or_directory.
Result<std::string> find_program(const std::string& name);

// A child with a process group of its own, so that Ctrl-C reaches only us and the end has an order.
// It is sent SIGTERM by the kernel when we die, even of SIGKILL: start it from the main thread
// (prctl(2), PR_SET_PDEATHSIG). stdin is /dev/null, stderr is ours. One thread at a time.
class Child {
 public:
  // `label`: for messages, "node2". Errors: as fork(2), pipe(2). A program that can't be executed
  // ends with status 127.
  static Result<Child> start(std::string label, const std::vector<std::string>& command);
  Child(Child&&) = default;
  Child& operator=(Child&&) = default;

  const std::string& label() const { return label_; }
  pid_t pid() const { return pid_; }

  // The next line of its standard output. Errors: timed_out; broken_pipe (closed before a line).
  Result<std::string> read_line(Deadline deadline);

  void signal(int number) const;
  // How it ended, "ended with status 1" or "was killed by signal 9"; nullopt while it runs.
  std::optional<std::string> how_it_ended();
  bool ended_well() const { return ended_ && wait_status_ == 0; }

 private:
  Child(std::string label, pid_t pid, Fd output)
      : label_(std::move(label)), pid_(pid), output_(std::move(output)) {}

  std::string label_;
  pid_t pid_ = -1;
  Fd output_;
  std::string buffered_;
  bool ended_ = false;
  int wait_status_ = 0;
};

}  // namespace skein
