// A file on its way into the store: decoded if it comes coded, held against the digests announced,
// its checksum taken on the way, and written to a stage. One thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "core/digests.h"
#include "core/error.h"
#include "dataserver/content_coding.h"
#include "dataserver/file_store.h"
#include "dataserver/staged_file.h"

namespace skein {

class ReceivedFile {
 public:
  // `store` is borrowed. `sized_bytes`: what the stage was let in for. `decoder` may be null.
  // `announced` are the digests of the bytes as they come, coded or not.
  ReceivedFile(FileStore& store, StagedFile stage, std::uint64_t sized_bytes,
               std::unique_ptr<Decoder> decoder, const Digests& announced);

  // Errors: bad_message (badly coded), no_space_on_device (it has grown beyond what it was let in
  // for, into the reserve), those of StagedFile::append(). Then it is of no more use.
  Result<void> take(std::span<const char> piece);

  // After the last piece: the stage, whole and with its checksum. Errors: bad_message (the coded
  // text ends too early), illegal_byte_sequence (other bytes than announced).
  Result<StagedFile*> complete();

 private:
  Result<void> store(std::span<const char> plain);

  FileStore& store_;
  StagedFile stage_;
  std::uint64_t room_bytes_;  // up to here the disk was asked
  std::unique_ptr<Decoder> decoder_;
  std::optional<DigestCheck> check_;  // of the bytes as they come
  std::optional<Checksum> decoded_;   // of the bytes as they are stored, if those are others
};

}  // namespace skein
