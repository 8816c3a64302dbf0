#include "dataserver/received_file.h"

#include <algorithm>
#include <utility>

namespace skein {
namespace {

// How much further a body of unknown length is let in at a time.
constexpr std::uint64_t kRoomStepBytes = 16 * 1024 * 1024;

}  // namespace

ReceivedFile::ReceivedFile(FileStore& store, StagedFile stage, std::uint64_t sized_bytes,
                           std::unique_ptr<Decoder> decoder, const Digests& announced)
    : store_(store),
      stage_(std::move(stage)),
      room_bytes_(sized_bytes),
      decoder_(std::move(decoder)) {
  if (decoder_) decoded_.emplace();
  if (!decoder_ || announced.any()) check_.emplace(announced);
}

Result<void> ReceivedFile::take(std::span<const char> piece) {
  if (check_) check_->add(piece);
  if (!decoder_) return store(piece);
  return decoder_->take(piece, [this](std::span<const char> plain) {
    decoded_->add(plain);
    return store(plain);
  });
}

// A body of unknown length, or one that unpacks to more, must not eat the reserve.
Result<void> ReceivedFile::store(std::span<const char> plain) {
  if (stage_.appended_bytes() + plain.size() > room_bytes_) {
    const std::uint64_t step = std::max<std::uint64_t>(plain.size(), kRoomStepBytes);
    if (auto room = store_.check_space(step); !room) return room;
    room_bytes_ = stage_.appended_bytes() + step;
  }
  return stage_.append(plain);
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
