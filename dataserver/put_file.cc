#include "dataserver/put_file.h"

namespace skein {

PutBody::PutBody(StagedFile stage, std::unique_ptr<Decoder> decoder, Publish publish)
    : stage_(std::move(stage)), decoder_(std::move(decoder)), publish_(std::move(publish)) {}

void PutBody::take(std::span<const char> piece) {
  if (failure_) return;
  const auto append = [this](std::span<const char> plain) { return stage_->append(plain); };
  const auto taken = decoder_ ? decoder_->take(piece, append) : append(piece);
  if (taken) return;
  failure_ = taken.error();
  stage_.reset();
}

Reply PutBody::finish() {
  if (!failure_ && decoder_ && !decoder_->complete()) {
    failure_ = Error{std::errc::bad_message, "coded body ends too early"};
  }
  if (failure_) return refusal_of(*failure_);
  if (const auto published = publish_(*stage_); !published) return refusal_of(published.error());
  return {};
}

}  // namespace skein
