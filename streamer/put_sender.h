// Sends PUTs over a connection, many in one system call. One thread at a time.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/node.h"
#include "streamer/outgoing_file.h"

namespace skein {

class PutSender {
 public:
  explicit PutSender(const NodeAddress& node);

  // Sends heads and bodies of `files`, waiting for the peer; shutdown(2) ends the wait. `socket`
  // blocks. Errors: those of send(2); then how much went out is unknown.
  Result<void> send(int socket, std::span<const OutgoingPtr> files);

 private:
  void compose_head(OutgoingFile& file, std::string& head) const;

  const std::string host_line_;  // ends every head
  std::vector<std::string> heads_;  // of one system call; kept for their memory
};

}  // namespace skein
