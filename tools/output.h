// Standard output of a command: buffered, and a write that failed is remembered, so that a full
// disk does not end in exit status 0. One thread at a time.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"

namespace skein {

class Output {
 public:
  // `fd` stays open.
  explicit Output(int fd) : fd_(fd) {}

  void write(std::string_view data);
  void line(std::string_view text) {
    write(text);
    write("\n");
  }
  // A name or path as it is, or made printable() when people read it.
  std::string name(std::string_view text) const;
  bool is_terminal() const;

  // Writes what is buffered. Errors: the first write(2) that failed. When the reader has gone
  // (`skein cat x | head`), the process ends by SIGPIPE, as cat does.
  Result<void> flush();
  bool failed() const { return error_ != 0; }

 private:
  static constexpr std::size_t kBufferBytes = 64 * 1024;  // a pipe holds as much
  void write_out(std::string_view data);

  const int fd_;
  std::string buffer_;
  int error_ = 0;  // errno of the first failure; later writes are dropped
};

}  // namespace skein
