// Copies all bytes of one open file into another, inside the kernel where it can: shared blocks
// (FICLONE), copy_file_range(2), else through memory.
#pragma once

#include "core/error.h"

namespace skein {

// `to` is empty and writable; offsets of the descriptors are not used. Errors: no_space_on_device,
// io_error, others as read(2), write(2).
Result<void> copy_bytes(int from, int to);

}  // namespace skein
