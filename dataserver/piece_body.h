// The body of a PUT that is a piece of a stage (docs/wire.md, "Stages"), and the Content-Range field
// that says which.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "core/digests.h"
#include "dataserver/body_sink.h"
#include "dataserver/stage_shelf.h"

namespace skein {

// "bytes 0-99/*", "bytes 0-99/100", or "bytes */100" of no bytes.
struct PieceRange {
  std::uint64_t first = 0;
  std::uint64_t size_bytes = 0;  // of the piece; 0 in the last form
  std::optional<std::uint64_t> whole_bytes;
};
std::optional<PieceRange> parse_piece_range(std::string_view field);

class PieceBody final : public BodySink {
 public:
  PieceBody(std::unique_ptr<StageShelf::Piece> piece, const PieceRange& range,
            const Digests& announced);

  void take(std::span<const char> bytes) override;
  Reply finish() override;
  // A client counts on what it sent when it has said how long the whole is.
  bool safe() const override { return !range_.whole_bytes; }

 private:
  std::unique_ptr<StageShelf::Piece> piece_;  // null once a failure was met
  const PieceRange range_;
  std::optional<DigestCheck> check_;
  std::optional<Error> failure_;
};

// The answer to a piece: Repr-Digest of the stage, if the checksum of all of it is known.
Reply piece_reply(const Result<std::optional<std::uint64_t>>& kept);

}  // namespace skein
