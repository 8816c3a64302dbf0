#include "dataserver/received_file.h"

#include <utility>

namespace skein {

ReceivedFile::ReceivedFile(StagedFile stage, std::unique_ptr<Decoder> decoder,
                           const Digests& announced)
    : stage_(std::move(stage)), decoder_(std::move(decoder)) {
  if (decoder_) decoded_.emplace();
  if (!decoder_ || announced.any()) check_.emplace(announced);
}

Result<void> ReceivedFile::take(std::span<const char> piece) {
  if (check_) check_->add(piece);
  if (!decoder_) return stage_.append(piece);
  return decoder_->take(piece, [this](std::span<const char> plain) {
    decoded_->add(plain);
    return stage_.append(plain);
  });
}

Result<StagedFile*> ReceivedFile::complete() {
  if (decoder_ && !decoder_->complete()) {
    return Error{std::errc::bad_message, "coded body ends too early"};
  }
  if (check_) {
    if (auto same = check_->verdict(); !same) return same.error();
  }
  stage_.set_checksum(decoded_ ? decoded_->value() : check_->xxh3());
  return &stage_;
}

}  // namespace skein
