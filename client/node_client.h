// The verbs of one node over HTTP, on kept connections. No retries on other nodes, no placement:
// that is upload.h, download.h and union_listing.h.
//
// Deadlines: `timeout` bounds connecting, the wait for the first byte of a reply, and each further
// 64 KiB either way (pace.h), so a transfer of any size may take as long as it makes progress, and
// a stopped node costs one timeout; a node that lists in pieces must send something in that time,
// and all of it within ten minutes. The reply to a body is waited for one second longer per 20 MB,
// because a node makes the file durable first.
//
// A request that fails on a connection that was kept from before is tried once more on a new one,
// if no byte of a reply had come.
//
// Thread-safe; connections are lent to one call at a time. Sources: docs/wire.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/listing.h"
#include "core/node.h"
#include "core/path.h"

namespace skein {

class ConnectionPool;  // client/connection_pool.h
class ListingRound;    // client/listing_round.h
class UnrangedReads;   // client/unranged_reads.h
struct Answer;         // client/ask.h

// The bytes of an upload, which can be sent again: memory or part of a file. Borrowed.
struct FileRange {
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
};
using PutBody = std::variant<std::span<const char>, FileRange>;
std::uint64_t size_of(const PutBody& body);

// What the ETag of a growing file ends in.
inline constexpr std::string_view kGrowingEtagEnd = "-grows\"";

struct FileInfo {
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_s = 0;  // seconds since 1970, from Last-Modified; 0 unknown
  std::string etag;          // "" unknown
  std::optional<std::uint64_t> checksum;  // core/checksum.h, where the node knows it
  bool is_directory = false;

  // A Skein node says that it takes appends: `size_bytes` may be more by now.
  bool grows() const { return etag.ends_with(kGrowingEtagEnd); }
};

// A listing as one node gives it. `unchanged`: the known ETag still holds, listing is empty.
struct NodeListing {
  bool unchanged = false;
  Listing listing;
  std::string etag;  // "" if the server gives none
};

class NodeClient {
 public:
  explicit NodeClient(std::chrono::milliseconds timeout);
  ~NodeClient();

  // Errors of all calls beside those named: timed_out, connection_refused, connection_reset,
  // host_unreachable (the node is in trouble), bad_message (not HTTP as we know it), io_error
  // (other 5xx). no_such_file_or_directory is 404.

  // nullopt: no such directory on this node.
  Result<std::optional<NodeListing>> list(const Node& node, const ClusterPath& path,
                                          const std::string& known_etag);
  // nullopt: not on this node.
  Result<std::optional<FileInfo>> stat(const Node& node, const ClusterPath& path);

  // The same of every node at once, in the order of `nodes`, within about the timeout however many
  // are silent. `known_etags` by Node::key(); may be empty.
  std::vector<Result<std::optional<NodeListing>>> list_all(
      const NodeList& nodes, const ClusterPath& path,
      const std::map<std::string, std::string>& known_etags);
  // The same for a caller who takes names as they come, and who lets go of it before this client.
  std::unique_ptr<ListingRound> begin_listing(
      NodeSnapshot nodes, const ClusterPath& path,
      const std::map<std::string, std::string>& known_etags);
  std::vector<Result<std::optional<FileInfo>>> stat_all(const NodeList& nodes,
                                                        const ClusterPath& path);

  // Reads up to into.size() bytes at offset; fewer only at the end of the file. A server that
  // ignores Range (PYME's) is read from its first byte, or from where the last read stopped.
  Result<std::size_t> read(const Node& node, const ClusterPath& path, std::uint64_t offset,
                           std::span<char> into);
  // The rest of the file from `offset`, in pieces as they come; `take` returns false to stop.
  // Returns the bytes given to `take`.
  using Take = std::function<bool(std::span<const char> piece)>;
  Result<std::uint64_t> stream(const Node& node, const ClusterPath& path, std::uint64_t offset,
                               const Take& take);
  // The same, put by the network right where the caller wants it.
  class Receiver {
   public:
    // Where the next bytes go; empty: no more are wanted.
    virtual std::span<char> room() = 0;
    // So many came to the front of the room given last; always more than 0.
    virtual void received(std::size_t size) = 0;

   protected:
    ~Receiver() = default;
  };
  Result<std::uint64_t> stream(const Node& node, const ClusterPath& path, std::uint64_t offset,
                               Receiver& receiver);

  // Errors: file_exists (405), no_space_on_device (507), permission_denied (403);
  // not_connected for "whether the file was stored is unknown": the reply never came, or the name
  // is taken but maybe by our own first try (same_bytes.h tells); operation_canceled: the caller's
  // file could not be read, or is shorter than promised. After any other error of the connection a
  // Skein node has stored nothing; PYME's stores what it got when a body is cut.
  // `progress` is given the bytes sent so far; may be empty.
  using Progress = std::function<void(std::uint64_t sent_bytes)>;
  Result<void> put(const Node& node, const ClusterPath& path, const PutBody& body,
                   const Progress& progress = {});
  // Errors: file_exists; not_connected (trouble of the connection).
  Result<void> make_directory(const Node& node, const ClusterPath& path);

  // Stages (docs/wire.md, "Stages"): bytes kept by the node, not visible until published.
  // stage(): errors as put(), but never unclear: it may be repeated. publish(): file_exists,
  // no_such_file_or_directory (no such stage), not_connected (unclear, as put(), and for every
  // trouble of the connection). drop_stage(): no_such_file_or_directory; not_connected (unclear).
  Result<void> stage(const Node& node, const std::string& stage_id, const ClusterPath& path,
                     const PutBody& body);
  Result<void> publish(const Node& node, const std::string& stage_id, const ClusterPath& path);
  // A stage in pieces. resize_stage() makes it, if it is not there: no_such_file_or_directory is a
  // node that knows no pieces. stage_piece(): the bytes go where they are in the file;
  // no_such_file_or_directory is a stage that is lost. `whole_bytes`: the stage's length from now
  // on. Both give the checksum of the whole stage as far as the node knows it. Errors: as stage().
  using StageSum = std::optional<std::uint64_t>;
  Result<StageSum> resize_stage(const Node& node, const std::string& stage_id,
                                const ClusterPath& path, std::uint64_t whole_bytes);
  Result<StageSum> stage_piece(const Node& node, const std::string& stage_id,
                               const ClusterPath& path, const FileRange& bytes,
                               std::optional<std::uint64_t> whole_bytes);
  Result<void> drop_stage(const Node& node, const std::string& stage_id);

  // The JSON text of /__status.
  Result<std::string> status(const Node& node);

  std::chrono::milliseconds timeout() const { return timeout_; }

 private:
  struct Piece;
  Result<Piece> read_piece(const Node& node, const std::string& target, std::uint64_t offset,
                           std::span<char> into);
  struct Upload;
  Result<StageSum> send_body(const Node& node, const Upload& upload);
  Result<Answer> command(const Node& node, const std::string& target);

  const std::chrono::milliseconds timeout_;
  const std::unique_ptr<ConnectionPool> pool_;
  const std::unique_ptr<UnrangedReads> unranged_;
};

}  // namespace skein
