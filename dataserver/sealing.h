// Makes a staged file, whose writable descriptor was in a client's hands, safe to publish: after
// it, no descriptor or mapping of the client can change the bytes.
//
// The kernel is asked: a read lease (fcntl(2), F_SETLEASE) is refused while the file is open or
// mapped for writing anywhere. If it is granted, nobody can open it for writing while it is held,
// and published files are read-only. If it is refused, the bytes are copied and the copy is
// published; what the client then writes goes to a file that nobody sees.
#pragma once

#include <cstdint>

#include "core/error.h"
#include "core/path.h"
#include "dataserver/file_store.h"
#include "dataserver/staged_file.h"

namespace skein {

// How it went, for tests and the log.
enum class SealKind { kSameFile, kCopy };

// Publishes `stage` (after StagedFile::hand_out) at `path`. Errors: as FileStore::publish();
// invalid_argument when the file has not `size_bytes` bytes. On an error the stage is as before.
Result<SealKind> seal(FileStore& store, StagedFile& stage, const ClusterPath& path,
                      std::uint64_t size_bytes);

}  // namespace skein
