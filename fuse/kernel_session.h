// The mount itself: made, served until it ends, taken away.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "fuse/kernel_requests.h"
#include "fuse/options.h"

namespace skein {

class KernelSession {
 public:
  // Requests served at one time: those that wait for a slow node must not hold up the others.
  static constexpr unsigned kMaxThreads = 48;
  static constexpr unsigned kIdleThreads = 8;

  // Mounts. `requests` is borrowed. Errors: io_error, with what mount(2) or libfuse said; fusermount3
  // writes to stderr by itself. invalid_argument for options that libfuse does not know.
  static Result<std::unique_ptr<KernelSession>> mount(const MountOptions& options,
                                                      KernelRequests& requests);
  // Unmounts, if that has not happened; open files in it fail from then on.
  virtual ~KernelSession() = default;

  // Serves requests until the mount is taken away or end() is called. Once. True: it was taken
  // away, so nothing in it was open any more.
  virtual Result<bool> serve() = 0;
  // Settings that can be made once the kernel's INIT was answered, where there is the right to.
  virtual void tune() = 0;
  // Makes serve() return. From any thread.
  virtual void end() = 0;
  // Nodes came or went: the kernel asks again for each name at its next use. From any thread; may
  // have no effect, then entries are believed for a second only.
  virtual void doubt_entries() = 0;
};

}  // namespace skein
