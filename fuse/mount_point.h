// Is the folder fit to be mounted on, and what is mounted there?
#pragma once

#include <filesystem>
#include <string>

#include "core/error.h"

namespace skein {

// Errors, with a line that says what to do: no_such_file_or_directory, not_a_directory,
// device_or_resource_busy (a Skein mount is there, living or dead), as stat(2).
Result<void> check_mount_point(const std::filesystem::path& mount_point);

// Errors: no_such_device (no FUSE in the kernel, or /dev/fuse missing), permission_denied.
Result<void> check_fuse_device();

// "MAJOR:MINOR" of what is mounted exactly there, without asking it; "" if nothing is.
std::string mounted_device(const std::filesystem::path& mount_point);

}  // namespace skein
