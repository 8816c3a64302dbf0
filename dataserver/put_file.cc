#include "dataserver/put_file.h"

namespace skein {

PutBody::PutBody(ReceivedFile file, Publish publish)
    : file_(std::move(file)), publish_(std::move(publish)) {}

void PutBody::take(std::span<const char> piece) {
  if (failure_) return;
  const auto taken = file_->take(piece);
  if (taken) return;
  failure_ = taken.error();
  file_.reset();
}

Reply PutBody::finish() {
  if (failure_) return refusal_of(*failure_);
  const auto stage = file_->complete();
  if (!stage) return refusal_of(stage.error());
  if (const auto published = publish_(**stage); !published) return refusal_of(published.error());
  return {};
}

}  // namespace skein
