// A file on its way into the store: decoded if it comes coded, held against the digests announced,
// its checksum taken on the way, and written to a stage. One thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "core/digests.h"
#include "core/error.h"
#include "dataserver/content_coding.h"
#include "dataserver/staged_file.h"

namespace skein {

class ReceivedFile {
 public:
  // `decoder` may be null. `announced` are the digests of the bytes as they come, coded or not.
  ReceivedFile(StagedFile stage, std::unique_ptr<Decoder> decoder, const Digests& announced);

  // Errors: bad_message (badly coded), those of StagedFile::append(). Then it is of no more use.
  Result<void> take(std::span<const char> piece);

  // After the last piece: the stage, whole and with its checksum. Errors: bad_message (the coded
  // text ends too early), illegal_byte_sequence (other bytes than announced).
  Result<StagedFile*> complete();

 private:
  StagedFile stage_;
  std::unique_ptr<Decoder> decoder_;
  std::optional<DigestCheck> check_;  // of the bytes as they come
  std::optional<Checksum> decoded_;   // of the bytes as they are stored, if those are others
};

}  // namespace skein
