#include "streamer/file_streamer.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fstream>

namespace skein {
namespace {

std::string put_head(const ClusterPath& path, const Node& node, std::size_t size_bytes) {
  return "PUT " + path.target() + " HTTP/1.1\r\nHost: " + node.address.text() +
         "\r\nContent-Length: " + std::to_string(size_bytes) + "\r\n\r\n";
}

bool was_refused_by(const OutgoingFile& file, const Node& node) {
  return std::find(file.refused_by.begin(), file.refused_by.end(), node.key()) !=
         file.refused_by.end();
}

}  // namespace

PlaceFunction place_round_robin() { return place_in_chunks(1); }

PlaceFunction place_in_chunks(std::uint64_t files_per_chunk) {
  assert(files_per_chunk > 0);
  return [files_per_chunk](std::uint64_t index, const NodeList& nodes) {
    return static_cast<std::size_t>(index / files_per_chunk % nodes.size());
  };
}

FileStreamer::FileStreamer(Membership& membership, NodeClient& client, Options options)
    : membership_(membership),
      client_(client),
      options_(std::move(options)),
      buffers_(options_.queue_bytes) {}

FileStreamer::~FileStreamer() {
  // The streams' threads call back into this object: end them while all of it is there.
  std::vector<std::shared_ptr<NodeStream>> ending;
  {
    const std::lock_guard lock(mutex_);
    ending.swap(retired_);
    for (auto& [key, stream] : streams_) ending.push_back(std::move(stream));
    streams_.clear();
  }
}

Result<void> FileStreamer::put(const ClusterPath& path, std::span<const char> bytes,
                               Deadline deadline) {
  const auto copy = [&](std::span<char> buffer) {
    if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
  };
  return put(path, bytes.size(), copy, deadline);
}

Result<void> FileStreamer::put(const ClusterPath& path, std::size_t size_bytes, const Fill& fill,
                               Deadline deadline) {
  if (path.is_root() || path.is_private()) {
    return Error{std::errc::invalid_argument, "not a file's path: /" + path.text()};
  }
  const NodeSnapshot nodes = membership_.nodes();
  if (nodes->empty()) return Error{std::errc::host_unreachable, "no node alive"};
  auto buffer = buffers_.take(size_bytes, deadline);
  if (!buffer) {
    return Error{std::errc::no_buffer_space,
                 "queue of " + std::to_string(buffers_.limit_bytes()) + " bytes is full"};
  }
  fill({buffer->data(), buffer->size()});
  auto file = std::make_shared<OutgoingFile>();
  file->path = path;
  file->body = std::make_shared<const BufferPool::Lent>(std::move(*buffer));
  file->submitted = std::chrono::steady_clock::now();
  std::uint64_t index = 0;
  {
    const std::lock_guard lock(mutex_);
    index = next_index_++;
    ++open_files_;
    ++counters_.accepted_files;
    counters_.accepted_bytes += size_bytes;
    counters_.queued_bytes += size_bytes;
  }
  const std::size_t chosen = options_.place(index, *nodes);
  assert(chosen < nodes->size());
  if (!place(file, &(*nodes)[chosen])) {
    failed(file, {std::errc::host_unreachable, "no node took " + path.text() + ": " + file->last_trouble});
  }
  return {};
}

std::shared_ptr<NodeStream> FileStreamer::stream_to(const Node& node) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<NodeStream>& stream = streams_[node.key()];
  // The membership says it is alive: one that was given up gets another chance.
  if (stream && stream->given_up()) retired_.push_back(std::move(stream));
  if (!stream) {
    NodeStream::Events events;
    events.stored = [this](const OutgoingPtr& file, const Node& at) { stored(file, at); };
    events.failed = [this](const OutgoingPtr& file, const Error& why) { failed(file, why); };
    events.returned = [this](const std::vector<OutgoingPtr>& files, const Error& why) {
      if (!files.empty()) membership_.report_failure(files.front()->refused_by.back(), why);
      {
        const std::lock_guard counting(mutex_);
        counters_.offered_again_files += files.size();
      }
      for (const OutgoingPtr& file : files) {
        if (!place(std::make_shared<OutgoingFile>(*file), nullptr)) {
          failed(file, {why.code, file->last_trouble});
        }
      }
    };
    stream = std::make_shared<NodeStream>(node, client_, options_.node, std::move(events));
  }
  return stream;
}

bool FileStreamer::place(const OutgoingPtr& file, const Node* preferred) {
  // Each round either places the file or rules a node out, so there are no more than nodes.
  for (;;) {
    const NodeSnapshot nodes = membership_.nodes();
    std::shared_ptr<NodeStream> best;
    if (preferred != nullptr && !was_refused_by(*file, *preferred)) best = stream_to(*preferred);
    for (const Node& node : *nodes) {
      if (best && preferred != nullptr) break;
      if (was_refused_by(*file, node)) continue;
      auto stream = stream_to(node);
      if (!best || stream->pending_bytes() < best->pending_bytes()) best = std::move(stream);
    }
    if (!best) return false;
    preferred = nullptr;
    file->head = put_head(file->path, best->node(), file->body->size());
    if (best->push(file)) return true;
    file->refused_by.push_back(best->node().key());
    file->last_trouble = best->node().label() + ": given up";
  }
}

void FileStreamer::stored(const OutgoingPtr& file, const Node& node) {
  if (options_.on_done) {
    options_.on_done({file->path, &node, nullptr, std::chrono::steady_clock::now() - file->submitted});
  }
  const std::lock_guard lock(mutex_);
  ++counters_.stored_files;
  counters_.stored_bytes += file->size_bytes();
  counters_.queued_bytes -= file->size_bytes();
  if (--open_files_ == 0) all_done_.notify_all();
}

void FileStreamer::failed(const OutgoingPtr& file, const Error& why) {
  Failure failure{file->path, why, keep_bytes(*file)};
  if (options_.on_done) {
    options_.on_done({file->path, nullptr, &why, std::chrono::steady_clock::now() - file->submitted});
  }
  const std::lock_guard lock(mutex_);
  ++counters_.failed_files;
  counters_.queued_bytes -= file->size_bytes();
  failures_.push_back(std::move(failure));
  if (--open_files_ == 0) all_done_.notify_all();
}

std::filesystem::path FileStreamer::keep_bytes(const OutgoingFile& file) const {
  if (options_.recovery_folder.empty()) return {};
  const std::filesystem::path to = options_.recovery_folder / file.path.text();
  std::error_code trouble;
  std::filesystem::create_directories(to.parent_path(), trouble);
  std::ofstream out(to, std::ios::binary | std::ios::trunc);
  out.write(file.body->bytes().data(), static_cast<std::streamsize>(file.size_bytes()));
  out.close();
  return out ? to : std::filesystem::path();
}

Result<std::vector<FileStreamer::Failure>> FileStreamer::finish(Deadline deadline) {
  std::unique_lock lock(mutex_);
  if (!all_done_.wait_until(lock, deadline.when(), [&] { return open_files_ == 0; })) {
    return Error{std::errc::timed_out,
                 std::to_string(open_files_) + " files are still on their way"};
  }
  return failures_;
}

FileStreamer::Counters FileStreamer::counters() const {
  Counters counters;
  std::vector<std::shared_ptr<NodeStream>> streams;
  {
    const std::lock_guard lock(mutex_);
    counters = counters_;
    for (const auto& [key, stream] : streams_) streams.push_back(stream);
    streams.insert(streams.end(), retired_.begin(), retired_.end());
  }
  for (const auto& stream : streams) counters.offered_again_files += stream->offered_again();
  counters.queue_limit_bytes = buffers_.limit_bytes();
  return counters;
}

}  // namespace skein
