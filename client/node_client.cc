#include "client/node_client.h"

#include <algorithm>
#include <cassert>

#include "client/ask.h"
#include "client/connection_pool.h"
#include "client/exchange.h"
#include "client/listing_round.h"
#include "client/reply.h"
#include "client/unranged_reads.h"
#include "core/digests.h"

namespace skein {
namespace {

// Fits the processor's second-level cache, so that what recv() wrote is still there for `take`.
constexpr std::size_t kStreamPieceBytes = 256 * 1024;

std::string verb_on(std::string_view verb, const std::string& target, const Node& node) {
  return std::string(verb) + " " + target + " on " + node.label();
}

// A target's path behind a reserved first component: "/__stage/<id>" + "/a/b".
std::string stage_target(const char* verb, const std::string& stage_id, const ClusterPath& path) {
  return std::string("/") + verb + "/" + stage_id + path.target();
}

std::string range_header(std::uint64_t first, std::optional<std::uint64_t> size_bytes) {
  std::string text = "Range: bytes=" + std::to_string(first) + "-";
  if (size_bytes) text += std::to_string(first + *size_bytes - 1);
  return text + "\r\n";
}

Error unclear(const Error& why) {
  return {std::errc::not_connected, why.what + ", maybe by our own first try"};
}

// Bytes of a stage do no harm twice.
Error may_be_repeated(const Error& error) {
  if (error.code != std::errc::not_connected) return error;
  return {std::errc::connection_reset, error.what};
}

// True if a reply that should start at `offset` of the file does.
bool starts_at(const ResponseHead& head, std::uint64_t offset) {
  const auto range = parse_content_range(head.find("Content-Range").value_or(""));
  return range && range->first == offset;
}

}  // namespace

std::uint64_t size_of(const PutBody& body) {
  if (const auto* memory = std::get_if<std::span<const char>>(&body)) return memory->size();
  return std::get<FileRange>(body).size_bytes;
}

NodeClient::NodeClient(std::chrono::milliseconds timeout)
    : timeout_(timeout),
      pool_(std::make_unique<ConnectionPool>(ConnectionPool::Options{})),
      unranged_(std::make_unique<UnrangedReads>()) {}

NodeClient::~NodeClient() = default;

std::unique_ptr<ListingRound> NodeClient::begin_listing(
    NodeSnapshot nodes, const ClusterPath& path,
    const std::map<std::string, std::string>& known_etags) {
  return std::make_unique<ListingRound>(*pool_, std::move(nodes), path, known_etags, timeout_);
}

std::vector<Result<std::optional<NodeListing>>> NodeClient::list_all(
    const NodeList& nodes, const ClusterPath& path,
    const std::map<std::string, std::string>& known_etags) {
  const auto round = begin_listing(std::make_shared<const NodeList>(nodes), path, known_etags);
  while (!round->done()) round->advance(Deadline::after(timeout_));
  return round->take_listings();
}

Result<std::optional<NodeListing>> NodeClient::list(const Node& node, const ClusterPath& path,
                                                    const std::string& known_etag) {
  return std::move(list_all({node}, path, {{node.key(), known_etag}}).front());
}

std::vector<Result<std::optional<FileInfo>>> NodeClient::stat_all(const NodeList& nodes,
                                                                  const ClusterPath& path) {
  std::vector<Question> questions;
  for (const Node& node : nodes) questions.push_back({&node, "HEAD", path.target(), {}});
  const auto answers = ask_all(*pool_, questions, timeout_);
  std::vector<Result<std::optional<FileInfo>>> infos;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) {
      infos.emplace_back(answers[i].error());
    } else if (path.is_root() && answers[i]->head.status() == 200) {
      FileInfo root;  // needs no redirect: its target ends in a slash
      root.is_directory = true;
      infos.emplace_back(std::optional(root));
    } else {
      infos.emplace_back(info_of(answers[i]->head, text_of(questions[i])));
    }
  }
  return infos;
}

Result<std::optional<FileInfo>> NodeClient::stat(const Node& node, const ClusterPath& path) {
  return std::move(stat_all({node}, path).front());
}

// What one request gave of a read.
struct NodeClient::Piece {
  std::size_t size_bytes = 0;
  bool at_end = false;  // of the file
};

Result<NodeClient::Piece> NodeClient::read_piece(const Node& node, const std::string& target,
                                                 std::uint64_t offset, std::span<char> into) {
  const std::string what = verb_on("GET", target, node);
  const auto failed = [&](const Error& why) { return Error{why.code, what + ": " + why.what}; };
  if (auto half = unranged_->take(node.address, target, offset)) {
    // If the node closed it meanwhile, a new request below does.
    const auto skipped = half->exchange.skip(offset - half->next);
    const auto got = skipped ? half->exchange.read_full(into) : skipped;
    if (got && (*skipped == offset - half->next)) {
      const Piece piece{*got, half->exchange.at_end()};
      half->next = offset + *got;
      if (piece.at_end) {
        half->exchange.finish();
      } else {
        unranged_->keep(std::move(*half));
      }
      return piece;
    }
  }
  auto exchange = Exchange::begin(
      *pool_, node, {"GET", target, range_header(offset, into.size()), nullptr, nullptr}, timeout_);
  if (!exchange) return exchange.error();
  const int status = exchange->head().status();
  if (status == 206) {
    const auto range = parse_content_range(exchange->head().find("Content-Range").value_or(""));
    if (!range || range->first != offset) {
      return Error{std::errc::bad_message, what + ": reply is not the range asked for"};
    }
    const auto got = exchange->read_full(into);
    if (!got) return failed(got.error());
    exchange->finish();
    const bool known_end = range->size_bytes && offset + *got >= *range->size_bytes;
    return Piece{*got, known_end || (!range->size_bytes && *got < into.size())};
  }
  if (status == 416) {
    exchange->finish();
    return Piece{0, true};
  }
  if (status != 200) {
    exchange->finish();
    return status_error(exchange->head(), what);
  }
  const auto skipped = exchange->skip(offset);
  if (!skipped) return failed(skipped.error());
  const auto got = exchange->read_full(into);
  if (!got) return failed(got.error());
  exchange->finish();
  const Piece piece{*got, exchange->at_end()};
  if (!piece.at_end) {
    unranged_->keep({node.address, target, offset + *got, std::move(*exchange), {}});
  }
  return piece;
}

Result<std::size_t> NodeClient::read(const Node& node, const ClusterPath& path,
                                     std::uint64_t offset, std::span<char> into) {
  const std::string target = path.target();
  std::size_t got = 0;
  while (got < into.size()) {
    const auto piece = read_piece(node, target, offset + got, into.subspan(got));
    if (!piece) return piece.error();
    got += piece->size_bytes;
    if (piece->at_end) break;
    if (piece->size_bytes == 0) {
      return Error{std::errc::bad_message,
                   verb_on("GET", target, node) + ": empty range inside the file"};
    }
  }
  return got;
}

Result<std::uint64_t> NodeClient::stream(const Node& node, const ClusterPath& path,
                                         std::uint64_t offset, Receiver& receiver) {
  const std::string target = path.target();
  const std::string what = verb_on("GET", target, node);
  const std::string range = offset > 0 ? range_header(offset, std::nullopt) : std::string();
  auto exchange = Exchange::begin(*pool_, node, {"GET", target, range, nullptr, nullptr}, timeout_);
  if (!exchange) return exchange.error();
  const ResponseHead& head = exchange->head();
  if (head.status() == 416 && offset > 0) {
    exchange->finish();
    return std::uint64_t{0};
  }
  if (head.status() == 206 ? !starts_at(head, offset) : head.status() != 200) {
    exchange->finish();
    if (head.status() != 206) return status_error(head, what);
    return Error{std::errc::bad_message, what + ": reply is not the range asked for"};
  }
  const auto skipped = exchange->skip(head.status() == 200 ? offset : 0);
  if (!skipped) return Error{skipped.error().code, what + ": " + skipped.error().what};
  std::uint64_t total = 0;
  for (;;) {
    const std::span<char> room = receiver.room();
    if (room.empty()) return total;
    exchange->resume();
    const auto n = exchange->read_full(room);
    if (!n) return Error{n.error().code, what + ": " + n.error().what};
    if (*n == 0) break;
    total += *n;
    receiver.received(*n);
  }
  exchange->finish();
  return total;
}

Result<std::uint64_t> NodeClient::stream(const Node& node, const ClusterPath& path,
                                         std::uint64_t offset, const Take& take) {
  struct Piecewise final : Receiver {
    explicit Piecewise(const Take& given) : take(given) {}
    std::span<char> room() override {
      return wanted ? std::span(piece.get(), kStreamPieceBytes) : std::span<char>();
    }
    void received(std::size_t size) override { wanted = take({piece.get(), size}); }

    const Take& take;
    const std::unique_ptr<char[]> piece = std::make_unique_for_overwrite<char[]>(kStreamPieceBytes);
    bool wanted = true;
  };
  Piecewise pieces(take);
  return stream(node, path, offset, pieces);
}

// A PUT of bytes.
struct NodeClient::Upload {
  std::string target;
  const PutBody& body;
  const Progress& progress;
  std::string headers = {};
  bool takes_name = false;  // so that the first try may be what a second one finds there
};

// The checksum that the node tells, if it tells one.
Result<NodeClient::StageSum> NodeClient::send_body(const Node& node, const Upload& upload) {
  auto exchange = Exchange::begin(
      *pool_, node, {"PUT", upload.target, upload.headers, &upload.body, &upload.progress}, timeout_);
  if (!exchange) return exchange.error();
  exchange->finish();
  const int status = exchange->head().status();
  if (status >= 200 && status < 300) {
    // One that cannot be read is as good as none: the node has judged the bytes itself.
    const auto digests = digests_of(exchange->head());
    return digests ? digests->xxh3 : StageSum();
  }
  const Error error = status_error(exchange->head(), verb_on("PUT", upload.target, node));
  return status == 405 && exchange->repeated() && upload.takes_name ? unclear(error) : error;
}

Result<void> NodeClient::put(const Node& node, const ClusterPath& path, const PutBody& body,
                             const Progress& progress) {
  const auto sent = send_body(node, {path.target(), body, progress, {}, true});
  if (!sent) return sent.error();
  return {};
}

Result<void> NodeClient::stage(const Node& node, const std::string& stage_id,
                               const ClusterPath& path, const PutBody& body) {
  const auto staged = send_body(node, {stage_target("__stage", stage_id, path), body, Progress()});
  if (!staged) return may_be_repeated(staged.error());
  return {};
}

Result<NodeClient::StageSum> NodeClient::resize_stage(const Node& node,
                                                      const std::string& stage_id,
                                                      const ClusterPath& path,
                                                      std::uint64_t whole_bytes) {
  const PutBody none = std::span<const char>();
  auto sent = send_body(node, {stage_target("__piece", stage_id, path), none, Progress(),
                               "Content-Range: bytes */" + std::to_string(whole_bytes) + "\r\n"});
  return sent ? sent : may_be_repeated(sent.error());
}

Result<NodeClient::StageSum> NodeClient::stage_piece(const Node& node, const std::string& stage_id,
                                                     const ClusterPath& path,
                                                     const FileRange& bytes,
                                                     std::optional<std::uint64_t> whole_bytes) {
  assert(bytes.size_bytes > 0);
  const PutBody body = bytes;
  const std::string range = std::to_string(bytes.offset) + "-" +
                            std::to_string(bytes.offset + bytes.size_bytes - 1) + "/" +
                            (whole_bytes ? std::to_string(*whole_bytes) : "*");
  auto sent = send_body(node, {stage_target("__piece", stage_id, path), body, Progress(),
                               "Content-Range: bytes " + range + "\r\n"});
  return sent ? sent : may_be_repeated(sent.error());
}

// A PUT with an empty body, whose success tells all. Errors: not_connected if it may have been
// carried out, which a connection that failed does not tell.
Result<Answer> NodeClient::command(const Node& node, const std::string& target) {
  const Question question{&node, "PUT", target, "Content-Length: 0\r\n"};
  auto answer = ask(*pool_, question, timeout_);
  if (!answer) return Error{std::errc::not_connected, answer.error().what};
  const int status = answer->head.status();
  if (status >= 200 && status < 300) return answer;
  const Error error = status_error(answer->head, text_of(question));
  return answer->repeated && (status == 404 || status == 405) ? unclear(error) : error;
}

Result<void> NodeClient::make_directory(const Node& node, const ClusterPath& path) {
  const auto made = command(node, path.directory_target());
  if (made) return {};
  if (made.error().code != std::errc::not_connected) return made.error();
  const auto info = stat(node, path);
  if (info && *info && (*info)->is_directory) return {};
  return made.error();
}

Result<void> NodeClient::publish(const Node& node, const std::string& stage_id,
                                 const ClusterPath& path) {
  const auto published = command(node, stage_target("__publish", stage_id, path));
  if (published) return {};
  return published.error();
}

Result<void> NodeClient::drop_stage(const Node& node, const std::string& stage_id) {
  const auto dropped = command(node, "/__drop/" + stage_id);
  if (dropped) return {};
  return dropped.error();
}

Result<std::string> NodeClient::status(const Node& node) {
  const Question question{&node, "GET", "/__status", {}};
  auto answer = ask(*pool_, question, timeout_);
  if (!answer) return answer.error();
  if (answer->head.status() != 200) return status_error(answer->head, text_of(question));
  return std::move(answer->body);
}

}  // namespace skein
