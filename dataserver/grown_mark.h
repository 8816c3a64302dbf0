// Tells a sealed HDF5 file that grew on this node, whose bytes this server wrote, from one that came
// whole by PUT, mirror or lane, whose bytes anybody wrote: the latter is not parsed in the server's
// process (foreign_tables.h).
//
// Attribute user.skein.grew, set at the seal. A file of the lane may have it from its maker, but has a
// file mark (file_mark.h) too, which is set when it is published. On a filesystem without such
// attributes every sealed file is taken for a foreign one, which costs time only.
#pragma once

namespace skein {

// Precondition: the file is still writable by its mode.
void mark_as_grown(int fd);

bool has_grown(int fd);

}  // namespace skein
