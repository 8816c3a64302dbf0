#include "streamer/file_streamer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

namespace skein {
namespace {

std::string put_head(const ClusterPath& path, std::size_t size_bytes) {
  return "PUT " + path.target() + " HTTP/1.1\r\nContent-Length: " + std::to_string(size_bytes) + "\r\n";
}

bool was_refused_by(const OutgoingFile& file, const Node& node) {
  return std::find(file.refused_by.begin(), file.refused_by.end(), node.key()) !=
         file.refused_by.end();
}

// Of those that have not refused the file; null: all have.
NodeStream* least_loaded(const std::vector<std::shared_ptr<NodeStream>>& streams,
                         const OutgoingFile& file) {
  NodeStream* best = nullptr;
  std::uint64_t least = 0;
  for (const auto& stream : streams) {
    if (was_refused_by(file, stream->node())) continue;
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
      kept_(options_.recovery_folder) {}

FileStreamer::~FileStreamer() {
  const auto before = counters();
  abandon();
  if (before.queued_files > 0) {
    spdlog::warn("streamer ended with files on their way: files={} bytes={} kept_in={}",
                 before.queued_files, before.queued_bytes, options_.recovery_folder.string());
  }
}

Result<FileStreamer::Ticket> FileStreamer::put(const ClusterPath& path,
                                               std::span<const char> bytes, Deadline deadline,
                                               std::string_view key) {
  const auto copy = [&](std::span<char> buffer) {
    if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
  };
  return put(path, bytes.size(), copy, deadline, key);
}

Result<FileStreamer::Ticket> FileStreamer::put(const ClusterPath& path, std::size_t size_bytes,
                                               const Fill& fill, Deadline deadline,
                                               std::string_view key) {
  if (path.is_root() || path.is_private()) {
    return Error{std::errc::invalid_argument, "not a file's path: /" + path.text()};
  }
  const NodeSnapshot nodes = membership_.nodes();
  if (nodes->empty()) return Error{std::errc::host_unreachable, "no node alive"};
  const bool waits = options_.overload == Overload::kWait;
  auto buffer = buffers_.take(size_bytes, waits ? deadline : Deadline::at(TimePoint::min()));
  if (!buffer) {
    const std::lock_guard lock(mutex_);
    ++counters_.refused_files;
    return Error{std::errc::no_buffer_space,
                 "queue of " + std::to_string(buffers_.limit_bytes()) + " bytes is full"};
  }
  fill({buffer->data(), buffer->size()});
  auto file = std::make_shared<OutgoingFile>();
  file->path = path;
  file->head = put_head(path, size_bytes);
  file->body = std::make_shared<const BufferPool::Lent>(std::move(*buffer));
  file->submitted = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    if (abandoned_) return Error{std::errc::operation_canceled, "the streamer was ended"};
    file->ticket = tickets_.open();
    ++counters_.accepted_files;
    counters_.accepted_bytes += size_bytes;
    counters_.queued_bytes += size_bytes;
    accepting_.add(size_bytes, file->submitted);
  }
  const Ticket ticket = file->ticket;
  const std::size_t chosen = options_.place({ticket, path, key}, *nodes);
  assert(chosen < nodes->size());
  const auto routes = routes_to(nodes);
  NodeStream* preferred = routes->streams.empty() ? nullptr : routes->streams[chosen].get();
  if (!place(file, *routes, preferred)) fail_unplaced(file);
  return ticket;
}

std::shared_ptr<const FileStreamer::Routes> FileStreamer::routes_to(const NodeSnapshot& nodes) {
  const std::lock_guard lock(mutex_);
  if (routes_ && routes_->nodes == nodes) return routes_;
  auto routes = std::make_shared<Routes>();
  routes->nodes = nodes;
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
      preferred->pending_bytes() + file->size_bytes() > share) {
    preferred = nullptr;
  }
  // Each round either places the file or rules a node out, so there are no more than nodes.
  for (;; preferred = nullptr) {
    NodeStream* best = preferred != nullptr ? preferred : least_loaded(routes.streams, *file);
    if (best == nullptr) return false;
    if (best->push(file)) return true;
    file->refused_by.push_back(best->node().key());
    file->last_trouble = best->node().label() + ": set aside after an outage";
  }
}

void FileStreamer::fail_unplaced(const OutgoingPtr& file) {
  failed(file, {std::errc::host_unreachable, "no node took " + file->path.text() + ": " + file->last_trouble});
}

void FileStreamer::returned(const std::vector<OutgoingPtr>& files, const Error& why) {
  if (!files.empty() && why.code != std::errc::no_space_on_device) {
    membership_.report_failure(files.front()->refused_by.back(), why);
  }
  {
    const std::lock_guard lock(mutex_);
    counters_.offered_again_files += files.size();
  }
  const auto routes = routes_to(membership_.nodes());
  for (const OutgoingPtr& file : files) {
    if (!place(file, *routes, nullptr)) failed(file, {why.code, file->last_trouble});
  }
}

void FileStreamer::closed(const OutgoingFile& file) {
  counters_.queued_bytes -= file.size_bytes();
  tickets_.close(file.ticket);
}

void FileStreamer::stored(std::span<const OutgoingPtr> files, const Node& node) {
  const auto now = std::chrono::steady_clock::now();
  if (options_.on_done) {
    for (const OutgoingPtr& file : files) {
      options_.on_done({file->path, &node, nullptr, now - file->submitted, file->ticket});
    }
  }
  const std::lock_guard lock(mutex_);
  for (const OutgoingPtr& file : files) {
    ++counters_.stored_files;
    counters_.stored_bytes += file->size_bytes();
    storing_.add(file->size_bytes(), now);
    closed(*file);
  }
  closing_.notify_all();
}

void FileStreamer::failed(const OutgoingPtr& file, const Error& why) {
  Failure failure{file->path, why, {}, file->ticket};
  if (auto kept = kept_.keep(file->path, file->body->bytes())) {
    failure.kept_as = std::move(*kept);
  } else if (!options_.recovery_folder.empty()) {
    failure.error.what += "; its bytes could not be kept: " + kept.error().what;
  }
  if (options_.on_done) {
    options_.on_done({file->path, nullptr, &failure.error,
                      std::chrono::steady_clock::now() - file->submitted, file->ticket});
  }
  const std::lock_guard lock(mutex_);
  ++counters_.failed_files;
  failures_.push_back(std::move(failure));
  closed(*file);
  closing_.notify_all();
}

Result<void> FileStreamer::wait(Ticket ticket, Deadline deadline) {
  std::unique_lock lock(mutex_);
  if (ticket >= tickets_.next()) {
    return Error{std::errc::invalid_argument, "no such ticket: " + std::to_string(ticket)};
  }
  if (!closing_.wait_until(lock, deadline.when(), [&] { return !tickets_.is_open(ticket); })) {
    return Error{std::errc::timed_out, "the file is still on its way"};
  }
  const auto failure = std::find_if(failures_.begin(), failures_.end(),
                                    [&](const Failure& f) { return f.ticket == ticket; });
  if (failure != failures_.end()) return failure->error;
  return {};
}

Result<void> FileStreamer::flush(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const Ticket end = tickets_.next();
  if (!closing_.wait_until(lock, deadline.when(), [&] { return tickets_.oldest_open() >= end; })) {
    return Error{std::errc::timed_out,
                 std::to_string(tickets_.open_count()) + " files are still on their way"};
  }
  return {};
}

Result<std::vector<FileStreamer::Failure>> FileStreamer::finish(Deadline deadline) {
  std::unique_lock lock(mutex_);
  if (!closing_.wait_until(lock, deadline.when(), [&] { return tickets_.open_count() == 0; })) {
    return Error{std::errc::timed_out,
                 std::to_string(tickets_.open_count()) + " files are still on their way"};
  }
  return failures_;
}

std::vector<FileStreamer::Failure> FileStreamer::abandon() {
  std::vector<std::shared_ptr<NodeStream>> ending;
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    ending = retired_;
    for (const auto& [key, stream] : streams_) ending.push_back(stream);
  }
  // One that has ended takes nothing more, so what a later one returns meanwhile fails there.
  for (const auto& stream : ending) {
    for (const OutgoingPtr& file : stream->end()) {
      failed(file, {std::errc::operation_canceled, "not stored when the streamer ended"});
    }
  }
  const std::lock_guard lock(mutex_);
  return failures_;
}

FileStreamer::Counters FileStreamer::counters() const {
  Counters counters;
  std::vector<std::shared_ptr<NodeStream>> streams;
  {
    const std::lock_guard lock(mutex_);
    counters = counters_;
    counters.queued_files = tickets_.open_count();
    const auto now = std::chrono::steady_clock::now();
    counters.accepted_bytes_per_s = accepting_.per_second(now);
    counters.stored_bytes_per_s = storing_.per_second(now);
    for (const auto& [key, stream] : streams_) streams.push_back(stream);
    streams.insert(streams.end(), retired_.begin(), retired_.end());
  }
  std::uint64_t most = 0;
  for (const auto& stream : streams) {
    const auto of_node = stream->counters();
    counters.offered_again_files += of_node.offered_again_files;
    counters.sent_files += of_node.sent_files;
    counters.sent_bytes += of_node.sent_bytes;
    if (of_node.pending_bytes > most) counters.slowest_node = stream->node().label();
    most = std::max(most, of_node.pending_bytes);
  }
  counters.queue_limit_bytes = buffers_.limit_bytes();
  const double filling = counters.accepted_bytes_per_s - counters.stored_bytes_per_s;
  const auto free = counters.queue_limit_bytes - std::min(counters.queue_limit_bytes, counters.queued_bytes);
  counters.headroom_s = filling > 0 ? static_cast<double>(free) / filling
                                    : std::numeric_limits<double>::infinity();
  return counters;
}

}  // namespace skein
