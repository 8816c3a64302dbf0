// A connected socket with an input buffer that lives as long as the connection, so that what
// arrived together with one message is still there for the next (pipelining). Used by the server,
// the client and the streamer. One thread at a time.
//
// Input is one flat buffer: a head is parsed where it lies; a body takes what is buffered and then
// goes from the socket straight to its destination, without a copy through the buffer.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "core/clock.h"
#include "core/error.h"
#include "core/fd.h"

namespace skein {

class HttpStream {
 public:
  // The buffer must hold the largest head; 64 KiB also holds a burst of small pipelined requests.
  static constexpr std::size_t kBufferBytes = 64 * 1024;

  // `socket` is connected and non-blocking.
  explicit HttpStream(Fd socket, std::size_t buffer_bytes = kBufferBytes);

  int fd() const { return socket_.get(); }

  // Received and not consumed. Invalidated by every non-const call.
  std::string_view buffered() const { return {buffer_.get() + begin_, end_ - begin_}; }
  // Precondition: n <= buffered().size().
  void consume(std::size_t n);

  enum class Fill { kData, kWouldBlock, kClosed, kFull };
  // One recv without waiting. Errors: connection_reset and others of recv(2).
  Result<Fill> fill();

  // Receives all that is there without waiting, into a buffer that grows up to `max_bytes`: for a
  // peer whose sending must not wait for what is done with its bytes. kWouldBlock: all of it is
  // here. kFull: half of the largest buffer or more is unread. Errors: as fill().
  Result<Fill> drain(std::size_t max_bytes);
  // Gives a grown buffer back if nothing is in it.
  void shrink();

  // Waits until the buffer holds a whole head and returns it, empty line included, consumed; the
  // view is valid until the next non-const call. nullopt: the peer closed before the first byte.
  // Errors: timed_out, connection_reset (closed inside the head), message_size (head too long).
  Result<std::optional<std::string_view>> read_head(Deadline deadline);

  // At least one byte, at most into.size(); 0 = the peer closed. Errors: timed_out, recv(2)'s.
  Result<std::size_t> read(std::span<char> into, Deadline deadline);

  // Writes everything. Errors: timed_out, broken_pipe, connection_reset; then how much went out is
  // unknown and the connection must be closed.
  Result<void> write(std::string_view data, Deadline deadline);
  // Head and body in one system call where the socket takes it.
  Result<void> write(std::string_view head, std::string_view body, Deadline deadline);

 private:
  // The end of the head in the buffer, if it is there, looking only at bytes not looked at before.
  std::optional<std::size_t> find_head_end();
  void make_room();
  void resize(std::size_t capacity);

  const Fd socket_;
  const std::size_t first_capacity_;
  std::size_t capacity_;
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t searched_ = 0;  // offset from begin_ up to which no head end was found
};

}  // namespace skein
