#include "fuse/sealed_file.h"

#include <algorithm>
#include <optional>

namespace skein {
namespace {

constexpr int kMissesBeforeRestart = 4;

// Knows how far a stream has come, and whether it was ended by who receives it.
struct Onward final : NodeClient::Receiver {
  Onward(NodeClient::Receiver& receiver, std::uint64_t from) : to(receiver), offset(from) {}
  std::span<char> room() override {
    const std::span<char> given = to.room();
    stopped = given.empty();
    return given;
  }
  void received(std::size_t size) override {
    offset += size;
    to.received(size);
  }

  NodeClient::Receiver& to;
  std::uint64_t offset;
  bool stopped = false;
};

}  // namespace

SealedFile::SealedFile(const Sources& sources, ClusterPath path)
    : sources_(sources), path_(std::move(path)) {}

SealedFile::~SealedFile() {
  ahead_.reset();
  if (counted_) --sources_.streams;
}

Result<std::unique_ptr<SealedFile>> SealedFile::open(const Sources& sources,
                                                     const ClusterPath& path) {
  std::unique_ptr<SealedFile> file(new SealedFile(sources, path));
  if (auto local = file->open_local(); local && *local) return file;
  auto found = sources.finder.find(path);
  if (!found) return found.error();
  file->copies_ = std::move(*found);
  file->size_bytes_ = file->copies_.copies.front().info.size_bytes;
  file->ahead_ = std::make_unique<ReadAhead>(
      sources.memory, [raw = file.get()](std::uint64_t offset, NodeClient::Receiver& to) {
        return raw->fetch(offset, to);
      });
  return file;
}

Result<bool> SealedFile::open_local() {
  if (sources_.lanes == nullptr) return false;
  const NodeSnapshot nodes = sources_.membership.nodes();
  for (const Node& node : *nodes) {
    if (node.lane.empty() || !sources_.lanes->reaches(node)) continue;
    auto opened = sources_.lanes->open(node, path_);
    // A lane in trouble is no reason to fail: the same node is asked by HTTP.
    if (!opened || !*opened) continue;
    local_ = std::move((*opened)->fd);
    size_bytes_ = (*opened)->size_bytes;
    return true;
  }
  return false;
}

Result<void> SealedFile::fetch(std::uint64_t offset, NodeClient::Receiver& to) {
  Onward onward(to, offset);
  std::optional<Error> last;
  for (const Copy& copy : copies_.copies) {
    const auto streamed = sources_.client.stream(copy.node, path_, onward.offset, onward);
    if (onward.stopped || (streamed && onward.offset >= size_bytes_)) return {};
    last = streamed ? Error{std::errc::io_error, "/" + path_.text() + " is cut short on " +
                                                     copy.node.label()}
                    : streamed.error();
    if (!streamed) sources_.membership.report_failure(copy.node.key(), *last);
  }
  return *last;
}

void SealedFile::start_stream(std::uint64_t offset) {
  {
    const std::lock_guard lock(mutex_);
    // A stream that runs elsewhere is given a chance: maybe this request was merely overtaken.
    if (starting_ || (ahead_->running() && ++misses_ < kMissesBeforeRestart)) return;
    misses_ = 0;
    if (!counted_ && sources_.streams.fetch_add(1) >= kMaxStreams) {
      --sources_.streams;
      return;
    }
    counted_ = true;
    starting_ = true;
  }
  ahead_->start(offset);
  const std::lock_guard lock(mutex_);
  starting_ = false;
}

Result<Slices> SealedFile::read(std::uint64_t offset, std::size_t size) {
  if (offset >= size_bytes_) return Slices{};
  size = std::min<std::uint64_t>(size, size_bytes_ - offset);
  bool in_sequence = false;
  {
    const std::lock_guard lock(mutex_);
    in_sequence = detector_.note(offset, size);
  }
  const Deadline deadline = Deadline::after(sources_.deadline / 2);
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto slices = ahead_->read(offset, size, deadline);
    if (slices && *slices && total_size(**slices) == size) return std::move(**slices);
    if (!slices || !in_sequence || attempt > 0 || size == size_bytes_) break;
    start_stream(offset);
  }
  return read_directly(offset, size);
}

Result<Slices> SealedFile::read_directly(std::uint64_t offset, std::size_t size) {
  auto memory = std::make_shared_for_overwrite<char[]>(size);
  auto got = sources_.downloader.read(path_, copies_, offset, {memory.get(), size});
  if (!got) return got.error();
  return Slices{{memory, memory.get(), *got}};
}

}  // namespace skein
