// Whether a process that is closing its files does so because a signal killed it: the bytes it
// leaves behind are half a file, however cleanly the kernel closes them.
#pragma once

#include <string_view>

namespace skein {

// From the text of /proc/PID/stat, proc(5): the exiting bit of field 9, the signal in field 52.
// False for anything that cannot be read as such.
bool was_killed(std::string_view proc_stat);

// `thread` as a FUSE request names it; false if it is already gone, or not to be seen from here.
bool is_dying_of_signal(int thread);

}  // namespace skein
