#include "streamer/file_streamer.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "client/locate.h"
#include "core/checksum.h"
#include "core/log.h"

namespace skein {
namespace {

// What is copied and summed up at a time: source and copy stay in the processor's own cache, so a
// frame passes the memory once, not twice.
constexpr std::size_t kCopyBytes = 128 << 10;

std::uint64_t copy_summed(FileStreamer::Pieces pieces, std::span<char> to) {
  if (to.size() <= kCopyBytes) {
    char* at = to.data();
    for (const auto piece : pieces) at = std::copy(piece.begin(), piece.end(), at);
    return checksum_of(to);
  }
  Checksum sum;
  char* at = to.data();
  for (const auto piece : pieces) {
    for (std::size_t done = 0; done < piece.size(); done += kCopyBytes) {
      const auto part = piece.subspan(done, std::min(kCopyBytes, piece.size() - done));
      std::memcpy(at, part.data(), part.size());
      sum.add({at, part.size()});
      at += part.size();
    }
  }
  return sum.value();
}

Backlog::Options backlog_options(const FileStreamer::Options& options) {
  const bool spills = options.overload == FileStreamer::Overload::kSpill &&
                      !options.recovery_folder.empty();
  return {options.patience, spills ? options.spill_bytes : 0};
}

// Of those that have not refused the file; null: all have.
NodeStream* least_loaded(const std::vector<std::shared_ptr<NodeStream>>& streams,
                         const OutgoingFile& file) {
  NodeStream* best = nullptr;
  std::uint64_t least = 0;
  for (const auto& stream : streams) {
    if (file.was_refused_by(stream->node().key())) continue;
    const std::uint64_t load = stream->pending_bytes();
    if (best != nullptr && load >= least) continue;
    best = stream.get();
    least = load;
  }
  return best;
}

}  // namespace

FileStreamer::FileStreamer(Membership& membership, NodeClient& client, Options options)
    : membership_(membership),
      client_(client),
      options_(std::move(options)),
      buffers_(options_.queue_bytes),
      kept_(options_.recovery_folder),
      backlog_(buffers_, kept_, backlog_options(options_), backlog_events()) {}

Backlog::Events FileStreamer::backlog_events() {
  Backlog::Events events;
  events.place = [this](const OutgoingPtr& file) {
    const auto routes = routes_to(membership_.nodes());
    // What another program left behind it may have stored: the node that has the name is to judge,
    // another one would make a second file of it.
    const bool ask = std::exchange(file->left_behind, false);
    return place(file, *routes, ask ? holder_of(file->path, *routes) : nullptr);
  };
  events.failed = [this](const OutgoingPtr& file, const Error& why) { failed(file, why); };
  events.take_waiting = [this](std::uint64_t bytes) { return take_waiting(bytes); };
  return events;
}

FileStreamer::~FileStreamer() {
  const auto before = counters();
  abandon();
  if (before.queued_files > 0) {
    log()->warn("streamer ended with files on their way: files={} bytes={} kept_in={}",
                before.queued_files, before.queued_bytes, options_.recovery_folder.string());
  }
}

Result<FileStreamer::Ticket> FileStreamer::put(const ClusterPath& path,
                                               std::span<const char> bytes, Deadline deadline,
                                               std::string_view key) {
  return put_pieces(path, Pieces(&bytes, 1), deadline, key);
}

Result<FileStreamer::Ticket> FileStreamer::put_pieces(const ClusterPath& path, Pieces pieces,
                                                      Deadline deadline, std::string_view key) {
  std::size_t size_bytes = 0;
  for (const auto piece : pieces) size_bytes += piece.size();
  auto body = make_room(path, size_bytes, {}, deadline);
  if (!body) return body.error();
  BodyChecksum checksum;
  if (options_.checksums) {
    checksum = BodyChecksum(copy_summed(pieces, body->buffer()));
  } else {
    auto at = body->buffer().begin();
    for (const auto piece : pieces) at = std::copy(piece.begin(), piece.end(), at);
  }
  return accept(path, std::move(*body), checksum, key);
}

Result<FileStreamer::Ticket> FileStreamer::put_given(const ClusterPath& path,
                                                     std::span<const char> head, GivenBytes given,
                                                     Deadline deadline, std::string_view key) {
  auto body = make_room(path, head.size(), std::move(given), deadline);
  if (!body) return body.error();
  std::copy(head.begin(), head.end(), body->buffer().begin());
  const auto checksum = options_.checksums ? BodyChecksum::when_asked() : BodyChecksum();
  return accept(path, std::move(*body), checksum, key);
}

Result<FileStreamer::Ticket> FileStreamer::put(const ClusterPath& path, std::size_t size_bytes,
                                               const Fill& fill, Deadline deadline,
                                               std::string_view key) {
  auto body = make_room(path, size_bytes, {}, deadline);
  if (!body) return body.error();
  fill(body->buffer());
  const auto checksum =
      options_.checksums ? BodyChecksum(checksum_of(body->buffer())) : BodyChecksum();
  return accept(path, std::move(*body), checksum, key);
}

Result<BufferPool::Lent> FileStreamer::make_room(const ClusterPath& path, std::size_t size_bytes,
                                                 GivenBytes given, Deadline deadline) {
  if (path.is_root() || path.is_private()) {
    return Error{std::errc::invalid_argument, "not a file's path: /" + path.text()};
  }
  if (!had_nodes_ && membership_.nodes()->empty()) {
    return Error{std::errc::host_unreachable, "no node alive"};
  }
  const bool waits = options_.overload != Overload::kRefuse;
  auto body = buffers_.take(size_bytes, waits ? deadline : Deadline::at(TimePoint::min()),
                            std::move(given));
  if (body) return std::move(*body);
  const std::lock_guard lock(mutex_);
  ++counters_.refused_files;
  return Error{std::errc::no_buffer_space,
               "queue of " + std::to_string(buffers_.limit_bytes()) + " bytes is full"};
}

Result<FileStreamer::Ticket> FileStreamer::accept(const ClusterPath& path, BufferPool::Lent body,
                                                  const BodyChecksum& checksum,
                                                  std::string_view key) {
  const NodeSnapshot nodes = membership_.nodes();
  auto file = std::make_shared<OutgoingFile>();
  file->path = path;
  file->size_bytes = body.size_bytes();
  file->checksum = checksum;
  file->body = std::make_shared<const BufferPool::Lent>(std::move(body));
  file->submitted = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    if (abandoned_) return Error{std::errc::operation_canceled, "the streamer was ended"};
    file->ticket = tickets_.open();
    ++counters_.accepted_files;
    counters_.accepted_bytes += file->size_bytes;
    accepting_.add(file->size_bytes, file->submitted);
  }
  const Ticket ticket = file->ticket;
  NodeStream* preferred = nullptr;
  const auto routes = routes_to(nodes);
  if (!routes->streams.empty()) {
    const std::size_t chosen = options_.place({ticket, path, key}, *nodes);
    assert(chosen < nodes->size());
    preferred = routes->streams[chosen].get();
  }
  if (!place(file, *routes, preferred)) put_aside(file, std::errc::host_unreachable);
  backlog_.queue_grew();
  return ticket;
}

std::shared_ptr<const FileStreamer::Routes> FileStreamer::routes_to(const NodeSnapshot& nodes) {
  const std::lock_guard lock(mutex_);
  if (routes_ && routes_->nodes == nodes) return routes_;
  auto routes = std::make_shared<Routes>();
  routes->nodes = nodes;
  if (!nodes->empty()) had_nodes_ = true;
  if (!abandoned_) {
    for (const Node& node : *nodes) routes->streams.push_back(stream_to(node));
  }
  return routes_ = std::move(routes);
}

std::shared_ptr<NodeStream> FileStreamer::stream_to(const Node& node) {
  std::shared_ptr<NodeStream>& stream = streams_[node.key()];
  // It moved to another address: what was on its way to the old one comes back from there.
  if (stream && stream->node().address != node.address) retired_.push_back(std::move(stream));
  if (!stream) {
    NodeStream::Events events;
    events.stored = [this](auto files, const Node& at) { stored(files, at); };
    events.failed = [this](const OutgoingPtr& file, const Error& why) { failed(file, why); };
    events.returned = [this](const auto& files, const Error& why) { returned(files, why); };
    stream = std::make_shared<NodeStream>(node, client_, options_.node, std::move(events));
  }
  return stream;
}

bool FileStreamer::place(const OutgoingPtr& file, const Routes& routes, NodeStream* preferred) {
  // A node that answers too slowly must not fill the queue and with it stop the others.
  const std::uint64_t share = buffers_.limit_bytes() / 2;
  if (preferred != nullptr && routes.streams.size() > 1 &&
      preferred->pending_bytes() + file->size_bytes > share) {
    preferred = nullptr;
  }
  // Each round either places the file or rules a node out, so there are no more than nodes.
  for (;; preferred = nullptr) {
    NodeStream* best = preferred != nullptr ? preferred : least_loaded(routes.streams, *file);
    if (best == nullptr) return false;
    if (best->push(file)) return true;
    file->refused_by.push_back({best->node().key(), true});
    file->last_trouble = best->node().label() + ": set aside after an outage";
  }
}

// Null: no node is known to have it.
NodeStream* FileStreamer::holder_of(const ClusterPath& path, const Routes& routes) {
  for (const Copy& copy : locate(client_, *routes.nodes, path).copies) {
    for (const auto& stream : routes.streams) {
      if (stream->node().key() == copy.node.key()) return stream.get();
    }
  }
  return nullptr;
}

void FileStreamer::put_aside(const OutgoingPtr& file, std::errc code) {
  if (file->refused_by.empty()) file->last_trouble = "no node alive";
  const bool may_end = file->refused_by.empty() || file->met_an_outage();
  if (may_end && backlog_.park(file)) return;
  // Not the code of a wait that was in vain: to who waits for the file that means "not yet".
  failed(file, {may_end ? std::errc::host_unreachable : code, file->last_trouble});
}

void FileStreamer::returned(const std::vector<OutgoingPtr>& files, const Error& why) {
  if (files.empty()) return;
  const OutgoingFile::Refusal refusal = files.front()->refused_by.back();
  if (refusal.is_outage) membership_.report_failure(refusal.node_key, why);
  {
    const std::lock_guard lock(mutex_);
    counters_.offered_again_files += files.size();
  }
  const auto routes = routes_to(membership_.nodes());
  for (const OutgoingPtr& file : files) {
    if (!place(file, *routes, nullptr)) put_aside(file, why.code);
  }
}

std::vector<OutgoingPtr> FileStreamer::take_waiting(std::uint64_t bytes) {
  NodeStream* longest = nullptr;
  std::uint64_t most = 0;
  const auto streams = all_streams();
  for (const auto& stream : streams) {
    const std::uint64_t waiting = stream->waiting_bytes();
    if (waiting <= most) continue;
    longest = stream.get();
    most = waiting;
  }
  return longest == nullptr ? std::vector<OutgoingPtr>() : longest->take_waiting(bytes);
}

std::vector<std::shared_ptr<NodeStream>> FileStreamer::all_streams() const {
  const std::lock_guard lock(mutex_);
  auto streams = retired_;
  for (const auto& [key, stream] : streams_) streams.push_back(stream);
  return streams;
}

void FileStreamer::stored(std::span<const OutgoingPtr> files, const Node& node) {
  const auto now = std::chrono::steady_clock::now();
  for (const OutgoingPtr& file : files) {
    if (!file->kept_as.empty()) ::unlink(file->kept_as.c_str());
  }
  if (options_.on_done) {
    for (const OutgoingPtr& file : files) {
      options_.on_done({file->path, &node, nullptr, now - file->submitted, file->ticket,
                        file->size_bytes});
    }
  }
  const std::lock_guard lock(mutex_);
  for (const OutgoingPtr& file : files) {
    ++counters_.stored_files;
    counters_.stored_bytes += file->size_bytes;
    storing_.add(file->size_bytes, now);
    tickets_.close(file->ticket);
  }
  closing_.notify_all();
}

}  // namespace skein
