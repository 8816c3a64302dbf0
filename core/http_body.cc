#include "core/http_body.h"

#include <poll.h>

#include <algorithm>
#include <charconv>

#include "core/socket.h"

namespace skein {
namespace {

// A chunk-size or trailer line longer than this is an attack, not a message.
constexpr std::size_t kMaxLineBytes = 4096;
constexpr int kMaxTrailerLines = 100;

Error bad_chunk() { return {std::errc::bad_message, "malformed chunk"}; }

}  // namespace

BodyReader::BodyReader(HttpStream& stream, BodyFraming framing)
    : stream_(stream), framing_(framing) {
  if (framing.kind == BodyFraming::Kind::kLength) left_ = framing.length;
  done_ = framing.kind == BodyFraming::Kind::kNone ||
          (framing.kind == BodyFraming::Kind::kLength && left_ == 0);
}

Result<std::size_t> BodyReader::read(std::span<char> into, Deadline deadline) {
  if (done_ || into.empty()) return std::size_t{0};
  if (framing_.kind == BodyFraming::Kind::kChunked && left_ == 0) {
    if (auto next = next_chunk(deadline); !next) return next.error();
    if (done_) return std::size_t{0};
  }
  const bool until_close = framing_.kind == BodyFraming::Kind::kUntilClose;
  const std::size_t most =
      until_close ? into.size() : static_cast<std::size_t>(std::min<std::uint64_t>(left_, into.size()));
  const auto n = stream_.read(into.first(most), deadline);
  if (!n) return n.error();
  if (*n == 0) {
    if (!until_close) return Error{std::errc::connection_reset, "body was cut short"};
    done_ = true;
    return std::size_t{0};
  }
  if (!until_close) left_ -= *n;
  if (framing_.kind == BodyFraming::Kind::kLength) done_ = left_ == 0;
  return *n;
}

Result<std::size_t> BodyReader::read_full(std::span<char> into, Deadline deadline) {
  std::size_t got = 0;
  while (got < into.size() && !done_) {
    const auto n = read(into.subspan(got), deadline);
    if (!n) return n.error();
    got += *n;
  }
  return got;
}

Result<std::string_view> BodyReader::read_line(Deadline deadline) {
  for (;;) {
    const std::string_view input = stream_.buffered();
    const std::size_t end = input.find("\r\n");
    if (end != std::string_view::npos && end <= kMaxLineBytes) return input.substr(0, end);
    if (input.size() > kMaxLineBytes) return bad_chunk();
    const auto filled = stream_.fill();
    if (!filled) return filled.error();
    if (*filled == HttpStream::Fill::kClosed) {
      return Error{std::errc::connection_reset, "body was cut short"};
    }
    if (*filled == HttpStream::Fill::kWouldBlock) {
      if (auto ready = wait_ready(stream_.fd(), POLLIN, deadline); !ready) return ready.error();
    }
  }
}

Result<void> BodyReader::take_size(std::string_view line) {
  const char* end = line.data() + line.size();
  const auto size = std::from_chars(line.data(), end, left_, 16);
  const bool extension = size.ptr != end && (*size.ptr == ';' || *size.ptr == ' ');
  if (size.ec != std::errc() || (size.ptr != end && !extension)) return bad_chunk();
  part_ = left_ > 0 ? Part::kData : Part::kTrailer;
  return {};
}

Result<void> BodyReader::next_chunk(Deadline deadline) {
  // The data of the chunk was read to its end, or read() would not have come here.
  if (part_ == Part::kData) part_ = Part::kEndOfData;
  while (part_ != Part::kData && !done_) {
    const auto line = read_line(deadline);
    if (!line) return line.error();
    const std::size_t length = line->size();
    if (part_ == Part::kEndOfData) {
      if (length != 0) return bad_chunk();
      part_ = Part::kSize;
    } else if (part_ == Part::kSize) {
      if (auto taken = take_size(*line); !taken) return taken;
    } else if (length == 0) {
      done_ = true;
    } else if (++trailer_lines_ > kMaxTrailerLines) {
      return bad_chunk();
    }
    stream_.consume(length + 2);
  }
  return {};
}

}  // namespace skein
