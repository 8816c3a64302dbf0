// What the kernel-facing sources share: getting at the parts, and the replies that come up again.
#pragma once

#include <chrono>

#include "core/error.h"
#include "fuse/kernel_library.h"
#include "fuse/kernel_requests.h"
#include "fuse/mounted_tree.h"

namespace skein {

inline KernelRequests& parts_of(fuse_req_t request) {
  return *static_cast<KernelRequests*>(fuse_req_userdata(request));
}
inline OpenFile& file_of(fuse_file_info* info) { return *reinterpret_cast<OpenFile*>(info->fh); }

// A callback that is counted in the metrics.
template <MountMetrics::Kind kKind, auto kCallback, typename... Arguments>
void counted(fuse_req_t request, Arguments... arguments) {
  parts_of(request).metrics.asked(kKind);
  kCallback(request, arguments...);
}

void fail(fuse_req_t request, const Error& error);
// No value to give: 0 or an error.
void finish(fuse_req_t request, const Result<void>& result);

// How long the kernel may believe that a name stands for an inode.
std::chrono::milliseconds entry_trust(const KernelRequests& parts);
// How long it may believe what stat(2) shows.
double attributes_s(const Shown& shown);
fuse_entry_param entry_of(const KernelRequests& parts, const Shown& shown);
// Counts the lookup, too.
void reply_entry(fuse_req_t request, const Shown& shown, fuse_ino_t parent, const char* name);

// Each enters its callbacks.
void add_name_operations(fuse_lowlevel_ops& ops);
void add_attribute_operations(fuse_lowlevel_ops& ops);
void add_file_operations(fuse_lowlevel_ops& ops);
void add_directory_operations(fuse_lowlevel_ops& ops);

}  // namespace skein
