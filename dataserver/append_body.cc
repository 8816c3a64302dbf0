#include "dataserver/append_body.h"

namespace skein {

AppendBody::AppendBody(FileStore& store, MemoryBudget& budget, std::unique_ptr<Decoder> decoder,
                       Append append)
    : store_(store),
      budget_(budget),
      decoder_(std::move(decoder)),
      append_(std::move(append)) {}

void AppendBody::take(std::span<const char> piece) {
  if (failure_ || piece.empty()) return;
  const auto keep_plain = [this](std::span<const char> plain) { return keep(plain); };
  const auto taken = decoder_ ? decoder_->take(piece, keep_plain) : keep(piece);
  if (taken) return;
  failure_ = taken.error();
  stage_.reset();
  memory_ = {};
  share_ = {};
}

Result<void> AppendBody::keep(std::span<const char> plain) {
  size_bytes_ += plain.size();
  if (size_bytes_ > GrowingFile::kMostBytes) {
    return Error{std::errc::file_too_large, "one append has at most " +
                                                std::to_string(GrowingFile::kMostBytes) + " bytes"};
  }
  if (!stage_ && size_bytes_ <= kInMemoryBytes) {
    if (share_.bytes() == 0) share_ = budget_.take(kInMemoryBytes);
    if (share_.bytes() > 0) {
      memory_.append(plain.data(), plain.size());
      return {};
    }
  }
  if (!stage_) {
    auto made = store_.scratch();
    if (!made) return made.error();
    stage_.emplace(std::move(*made));
    if (auto moved = stage_->append(memory_); !moved) return moved;
    memory_ = {};
    share_ = {};
  }
  return stage_->append(plain);
}

Reply AppendBody::finish() {
  if (!failure_ && decoder_ && !decoder_->complete()) {
    failure_ = Error{std::errc::bad_message, "coded body ends too early"};
  }
  if (failure_) return refusal_of(*failure_);
  if (stage_) return append_(FileStretch{stage_->fd(), 0, size_bytes_});
  return append_(std::span<const char>(memory_));
}

}  // namespace skein
