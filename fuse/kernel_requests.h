// The kernel's requests, answered one by one: translation between libfuse and the parts of this
// folder, with no decisions of its own but how long the kernel may believe an answer.
#pragma once

#include <atomic>
#include <functional>

#include "core/error.h"
#include "fuse/awake_processors.h"
#include "fuse/directory_stream.h"
#include "fuse/file_facts.h"
#include "fuse/files.h"
#include "fuse/inode_table.h"
#include "fuse/kept_names.h"
#include "fuse/mount_metrics.h"
#include "fuse/mounted_tree.h"
#include "fuse/open_files.h"
#include "fuse/passthrough.h"
#include "fuse/space.h"

struct fuse_lowlevel_ops;

namespace skein {

// What the callbacks work on; libfuse's userdata points to it. Outlives the session.
struct KernelRequests {
  MountedTree& tree;
  Files& files;
  OpenFiles& open_files;
  Unsealed& unsealed;
  InodeTable& inodes;
  SpaceCounter& space;
  MountMetrics& metrics;
  FileFacts& facts;
  Passthrough& passthrough;
  BackingFiles& backing;
  KeptNames& kept_names;
  AwakeProcessors& awake;
  std::function<void()> on_ready;  // the kernel's INIT was answered
  // All entries can be made doubtful at once (FUSE_NOTIFY_INC_EPOCH), so they may be believed long.
  std::atomic<bool> entries_revocable{false};
};

const fuse_lowlevel_ops& kernel_operations();

// As the mount answers: an errno that tells a person something about a file.
int kernel_errno(const Error& error);

}  // namespace skein
