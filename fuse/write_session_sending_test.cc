// Sending while writing: the pieces, and what becomes of them.
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <semaphore>

#include "fuse/scratch_mount.h"

using namespace skein;

namespace {

constexpr std::size_t kPiece = UnsentBytes::kPieceBytes;

bool is_piece(const RequestHead& head) {
  return head.target().starts_with("/__piece") && head.framing().length > 0;
}

void store(WriteSession& session, const std::string& bytes) {
  write_text(session, bytes);
  REQUIRE(session.flush().ok());
  REQUIRE(session.seal().ok());
}

// Counts pieces with bytes in them, and goes on as the node would.
struct Pieces {
  std::atomic<int> count{0};
  std::counting_semaphore<> arrived{0};

  MemoryNode::Interruption interruption() {
    return [this](ScriptedServer&, HttpStream&, const RequestHead& head) -> std::optional<bool> {
      if (!is_piece(head)) return std::nullopt;
      ++count;
      arrived.release();
      return std::nullopt;
    };
  }
  bool next_arrives() { return arrived.try_acquire_for(std::chrono::seconds(30)); }
};

}  // namespace

TEST_CASE("write session: a large file is sent while it is written, and changes at the end follow") {
  MemoryNode node(skein_node());
  Pieces pieces;
  node.interrupt(pieces.interruption());
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  std::string bytes = sample_bytes(2 * kPiece + 100, 1);
  write_text(*session, bytes);
  REQUIRE(pieces.next_arrives());
  REQUIRE(pieces.next_arrives());
  write_text(*session, "header", 3);
  bytes.replace(3, 6, "header");
  REQUIRE(session->flush().ok());
  CHECK(pieces.count == 4);  // the header and the last 100 bytes
  write_text(*session, "more", static_cast<off_t>(bytes.size()));
  REQUIRE(session->flush().ok());
  CHECK(pieces.count == 5);
  REQUIRE(session->seal().ok());
  CHECK(node.file("f") == bytes + "more");
  CHECK(mount.senders == 0);
}

TEST_CASE("write session: what is written while another thread flushes is sent, too") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  mount.senders = WriteSession::kMostSenders;  // all is sent by the flush
  auto session = mount.begin("f");
  std::string bytes = sample_bytes(kPiece + 100, 7);
  write_text(*session, bytes);
  const std::string more = sample_bytes(1000, 8);
  std::atomic<bool> wrote{false};
  node.interrupt([&](ScriptedServer&, HttpStream&,
                     const RequestHead& head) -> std::optional<bool> {
    if (!head.target().starts_with("/__piece") || wrote.exchange(true)) return std::nullopt;
    write_text(*session, more, static_cast<off_t>(bytes.size()));
    return std::nullopt;
  });
  REQUIRE(session->flush().ok());
  REQUIRE(wrote);
  REQUIRE(session->flush().ok());
  REQUIRE(session->seal().ok());
  CHECK(node.file("f") == bytes + more);
}

TEST_CASE("write session: a node that breaks in the midst is replaced, and gets all of the file") {
  MemoryNode first(skein_node());
  MemoryNode second(skein_node(kOtherId));
  ScratchMount mount({first.node(), second.node()});
  std::atomic<int> pieces{0};
  const auto break_after_one = [&](ScriptedServer&, HttpStream& stream,
                                   const RequestHead& head) -> std::optional<bool> {
    if (!is_piece(head) || ++pieces == 1) return std::nullopt;
    return reset(stream);
  };
  first.interrupt(break_after_one);
  auto session = mount.begin("f");
  const std::string bytes = sample_bytes(3 * kPiece, 2);
  store(*session, bytes);
  CHECK(pieces >= 2);
  CHECK(second.file("f") == bytes);
  CHECK_FALSE(first.has("f"));
}

TEST_CASE("write session: a node that lost the pieces gets them again") {
  MemoryNode node(skein_node());
  ScratchMount mount({node.node()});
  std::atomic<int> pieces{0};
  node.interrupt([&](ScriptedServer&, HttpStream& stream,
                     const RequestHead& head) -> std::optional<bool> {
    if (!is_piece(head) || ++pieces != 2) return std::nullopt;
    receive_body(stream, head);
    return reply(stream, 404);
  });
  auto session = mount.begin("f");
  const std::string bytes = sample_bytes(2 * kPiece + 1, 3);
  store(*session, bytes);
  CHECK(node.file("f") == bytes);
}

TEST_CASE("write session: a dropped file leaves no stage, also when its last piece was cut short") {
  MemoryNode node(skein_node());
  std::shared_ptr<WriteSession> session;
  std::counting_semaphore<> cut{0};
  std::atomic<int> drops{0};
  node.interrupt([&](ScriptedServer&, HttpStream&,
                     const RequestHead& head) -> std::optional<bool> {
    if (head.target().starts_with("/__drop")) ++drops;
    if (!is_piece(head)) return std::nullopt;
    if (::ftruncate(session->fd(), 0) != 0) std::abort();  // in the midst of it
    session->truncated(0);
    cut.release();
    return std::nullopt;
  });
  ScratchMount mount({node.node()});
  session = mount.begin("f");
  write_text(*session, sample_bytes(kPiece, 9));
  REQUIRE(cut.try_acquire_for(std::chrono::seconds(30)));
  session->drop();
  CHECK(drops == 1);
  session.reset();  // before its spool
}

TEST_CASE("write session: a node that knows no pieces gets the file whole") {
  MemoryNode node(skein_node());
  node.interrupt(refuse("PUT", "__piece", 404));
  ScratchMount mount({node.node()});
  auto session = mount.begin("f");
  const std::string bytes = sample_bytes(2 * kPiece, 4);
  store(*session, bytes);
  CHECK(node.file("f") == bytes);
}
