// libfuse's low-level interface, at the version this code is written to. Included by the
// kernel_* sources of this folder and by nothing else.
#pragma once

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 12)

#include <fuse_lowlevel.h>
