// Going to the background, so that whoever started the program waits until it is known whether it
// works: the starter gets the daemon's one line and exit status, or nothing and 0.
#pragma once

#include <string>

#include "core/error.h"
#include "core/fd.h"

namespace skein {

class Daemon {
 public:
  // In the foreground: reports go to this process's stderr and nothing else happens.
  static Daemon in_foreground() { return Daemon(Fd()); }
  // Forks. Returns in the child; the starter prints the child's report and exits with its status.
  // To be called while the process has one thread. Errors: as fork(2).
  static Result<Daemon> start();

  // It works: the starter may go, and the terminal is let go of; last words, as of a failed assert,
  // go to `log_file` from now on. Once.
  void report_ready(const std::string& log_file);
  // It does not work. Returns `exit_status` for main() to return.
  int report_failure(const std::string& line, int exit_status);

 private:
  explicit Daemon(Fd to_starter) : to_starter_(std::move(to_starter)) {}

  Fd to_starter_;
};

}  // namespace skein
