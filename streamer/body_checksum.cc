#include "streamer/body_checksum.h"

#include "core/checksum.h"

namespace skein {

std::uint64_t BodyChecksum::of(const BufferPool::Lent& body) {
  assert(any());
  if (state_ == State::kKnown) return value_;
  const auto pieces = body.pieces();
  std::uint64_t value = 0;
  if (pieces[0].empty()) {
    value = checksum_of(pieces[1]);
  } else if (pieces[1].empty()) {
    value = checksum_of(pieces[0]);
  } else {
    Checksum sum;
    for (const auto piece : pieces) sum.add(piece);
    value = sum.value();
  }
  value_ = value;
  state_ = State::kKnown;
  return value;
}

}  // namespace skein
