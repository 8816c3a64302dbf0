#include "dataserver/piece_body.h"

#include <charconv>
#include <limits>

#include "core/checksum.h"

namespace skein {
namespace {

bool take_text(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// Of file offsets: at most 2^63 - 1.
bool take_number(std::string_view& text, std::uint64_t& number) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
}

}  // namespace

std::optional<PieceRange> parse_piece_range(std::string_view field) {
  PieceRange range;
  if (!take_text(field, "bytes ")) return std::nullopt;
  const bool empty = take_text(field, "*");
  if (!empty) {
    std::uint64_t last = 0;
    if (!take_number(field, range.first) || !take_text(field, "-") || !take_number(field, last) ||
        last < range.first) {
      return std::nullopt;
    }
    range.size_bytes = last - range.first + 1;
  }
  if (!take_text(field, "/")) return std::nullopt;
  if (!empty && field == "*") return range;
  std::uint64_t whole = 0;
  if (!take_number(field, whole) || !field.empty() || whole < range.first + range.size_bytes) {
    return std::nullopt;
  }
  range.whole_bytes = whole;
  return range;
}

Reply piece_reply(const Result<std::optional<std::uint64_t>>& kept) {
  if (!kept) return refusal_of(kept.error());
  Reply reply;
  if (*kept) reply.add_field("Repr-Digest", checksum_field(**kept));
  return reply;
}

PieceBody::PieceBody(std::unique_ptr<StageShelf::Piece> piece, const PieceRange& range,
                     const Digests& announced)
    : piece_(std::move(piece)), range_(range) {
  if (announced.any()) check_.emplace(announced);
}

void PieceBody::take(std::span<const char> bytes) {
  if (!piece_) return;
  if (check_) check_->add(bytes);
  const auto added = piece_->add(bytes);
  if (added) return;
  failure_ = added.error();
  piece_.reset();
}

Reply PieceBody::finish() {
  if (failure_) return refusal_of(*failure_);
  if (check_) {
    if (const auto same = check_->verdict(); !same) return refusal_of(same.error());
  }
  return piece_reply(piece_->complete(range_.whole_bytes));
}

}  // namespace skein
