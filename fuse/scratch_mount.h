// For tests: the parts that a mount is made of, over nodes that live in memory.
#pragma once

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "client/placement.h"
#include "client/scripted_server.h"
#include "client/upload.h"
#include "core/scratch_folder.h"
#include "fuse/spool.h"
#include "fuse/write_session.h"

namespace skein {

// Ids of nodes.
inline constexpr const char* kId = "11111111-2222-4333-8444-555555555555";
inline constexpr const char* kOtherId = "11111111-2222-4333-8444-666666666666";

inline MemoryNode::Manners skein_node(const char* id = kId) {
  MemoryNode::Manners manners;
  manners.id = id;
  return manners;
}

inline std::string content(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Answers every request of that method and kind of target with `status`.
inline MemoryNode::Interruption refuse(const std::string& method, const std::string& part, int status) {
  return [=](ScriptedServer&, HttpStream& stream,
             const RequestHead& head) -> std::optional<bool> {
    if (head.method() != method || head.target().find(part) == std::string::npos) return std::nullopt;
    receive_body(stream, head);
    return reply(stream, status);
  };
}

struct ScratchMount {
  explicit ScratchMount(const NodeList& nodes)
      : membership(nodes), uploader(client, placement, membership) {
    auto opened = Spool::open(folder.path() / "spool", "test", 0);
    spool = std::move(*opened);
  }

  WriteSession::Parts parts() {
    return {nullptr,
            nullptr,
            {client, placement, membership, uploader, std::chrono::milliseconds(2000)},
            *spool,
            senders};
  }
  std::shared_ptr<WriteSession> begin(const std::string& path, Inode inode = 1) {
    auto session = WriteSession::begin(parts(), path_of(path), inode);
    return session ? *session : nullptr;
  }
  std::filesystem::path recover() const { return folder.path() / "spool" / "recover"; }
  std::vector<std::filesystem::path> recovered(const std::string& extension) const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(recover())) {
      if (entry.path().extension() == extension) found.push_back(entry.path());
    }
    return found;
  }

  ScratchFolder folder;
  NodeClient client{std::chrono::milliseconds(1000)};
  Placement placement{real_clock()};
  FixedMembership membership;
  Uploader uploader;
  std::unique_ptr<Spool> spool;
  std::atomic<int> senders{0};
};

inline void write_text(WriteSession& session, const std::string& text, off_t offset = 0) {
  const ssize_t n = ::pwrite(session.fd(), text.data(), text.size(), offset);
  session.wrote(static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(offset) + text.size());
  if (n != static_cast<ssize_t>(text.size())) std::abort();
}

}  // namespace skein
