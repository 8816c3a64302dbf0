// What a connection still has to send, in order: text, shared text and parts of files. Filling it
// never waits; flush() sends what the socket takes. One thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "dataserver/reply.h"

namespace skein {

class OutputQueue {
 public:
  // What is added from now on may go out when `ticket` is released (sync_gate.h).
  void require(std::uint64_t ticket) { required_ = ticket; }
  void add(std::string_view text);
  void add(std::shared_ptr<const std::string> text);
  void add(FilePart file);

  enum class Flush {
    kDone,     // everything was given to the socket
    kBlocked,  // the socket takes no more now
    kHeld,     // the next item waits for its ticket
    kTurn,     // kTurnBytes went out; more would go, but others wait too
    kBroken,   // the peer takes nothing any more
    kCut,      // a file became shorter than promised: only closing the connection tells the peer
  };
  // `released`: tickets up to this one are released.
  Flush flush(int socket, std::uint64_t released);

  bool empty() const { return items_.empty(); }
  // Memory held, shared text not counted.
  std::size_t bytes() const { return bytes_; }
  // Items that are not plain text.
  std::size_t large_items() const { return large_items_; }
  // Since the beginning.
  std::uint64_t sent_bytes() const { return sent_bytes_; }
  void clear();

 private:
  struct Item {
    std::string text;
    std::shared_ptr<const std::string> shared;
    FilePart file;
    std::size_t sent = 0;  // of text or shared
    std::uint64_t ticket = 0;
    std::string_view view() const { return shared ? std::string_view(*shared) : text; }
  };
  static constexpr std::uint64_t kTurnBytes = 64 * 1024 * 1024;

  Item& append_item();
  ssize_t send_texts(int socket, std::uint64_t released);
  ssize_t send_file(int socket);
  void drop_first();

  std::deque<Item> items_;
  std::size_t bytes_ = 0;
  std::size_t large_items_ = 0;
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t required_ = 0;
};

}  // namespace skein
