#include "streamer/series_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <thread>

#include "client/union_listing.h"

namespace skein {
namespace {

// A coded frame waits so long for a place in the sending queue, or for any node at all. Longer than
// a server takes to start again.
constexpr std::chrono::seconds kPatience{60};
// How often it looks whether the series is given up, and asks again where no node was alive.
constexpr std::chrono::milliseconds kLook{100};

double unix_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// PYME means its ids to be random. 53 bits, so that readers of JSON get all of them.
std::int64_t random_id() {
  std::random_device random;
  return static_cast<std::int64_t>((std::uint64_t{random()} << 21 ^ random()) & ((1ull << 53) - 1));
}

unsigned encode_threads(unsigned wanted) {
  if (wanted > 0) return wanted;
  return std::max(1u, std::thread::hardware_concurrency() / 2);
}

Result<void> check(const SeriesOptions& options) {
  const auto refuse = [](const std::string& why) {
    return Error{std::errc::invalid_argument, why};
  };
  if (options.path.is_root() || options.path.is_private()) {
    return refuse("not a series' path: /" + options.path.text());
  }
  PzfHeader header;
  header.type = options.type;
  header.width = options.width;
  header.height = options.height;
  header.depth = options.depth;
  if (auto checked = check_coding(header, options.coding); !checked) return checked;
  int open = 0;
  for (const std::int64_t size : {options.shape.c, options.shape.z, options.shape.t}) {
    if (size == 0 || size < -1) return refuse("sizes of dimensions are 1 and up, or -1 for open");
    open += size == -1 ? 1 : 0;
  }
  if (open > 1) return refuse("only one dimension of a series may be open");
  std::string letters = options.dim_order;
  std::sort(letters.begin(), letters.end());
  if (!options.dim_order.starts_with("XY") || letters != "CTXYZ") {
    return refuse("dimension order " + options.dim_order + ": XY, then C, Z and T");
  }
  return {};
}

void set_default(SeriesMetadata& metadata, const std::string& key, MetadataValue value) {
  metadata.emplace(key, std::move(value));
}

}  // namespace

Result<std::unique_ptr<SeriesWriter>> SeriesWriter::create(Membership& membership,
                                                           NodeClient& client,
                                                           SeriesOptions options) {
  if (auto checked = check(options); !checked) return checked.error();
  auto writer = std::unique_ptr<SeriesWriter>(
      new SeriesWriter(membership, client, std::move(options), random_id()));
  if (auto begun = writer->begin(); !begun) return begun.error();
  return writer;
}

SeriesWriter::SeriesWriter(Membership& membership, NodeClient& client, SeriesOptions options,
                           std::int64_t sequence_id)
    : membership_(membership),
      client_(client),
      options_(std::move(options)),
      sequence_id_(sequence_id),
      start_time_s_(unix_time_s()),
      placement_(real_clock()),
      uploader_(client, placement_, membership) {}

SeriesWriter::~SeriesWriter() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  ending_.notify_all();
  pool_.reset();
  streamer_.reset();
}

Result<void> SeriesWriter::begin() {
  const auto json = metadata_json(with_defaults(options_.metadata));
  if (!json) return json.error();
  const std::string name = "series " + options_.path.text();
  const auto there = list_union(client_, *membership_.nodes(), options_.path);
  if (there && there->listing.size() > 0) return Error{std::errc::file_exists, name + " exists"};
  if (!there && there.error().code == std::errc::not_a_directory) {
    return Error{std::errc::file_exists, name + ": a file has that name"};
  }
  if (!there && there.error().code != std::errc::no_such_file_or_directory) return there.error();

  if (auto stored = store_json(kMetadataName, *json); !stored) return stored;

  FileStreamer::Options stream = options_.stream;
  stream.on_done = [this](const FileStreamer::Done& done) { frame_done(done); };
  streamer_ = std::make_unique<FileStreamer>(membership_, client_, std::move(stream));
  if (options_.coding.codec == FrameCodec::kRaw) return {};
  EncodePool::Options encode{.coding = options_.coding,
                             .threads = encode_threads(options_.encode_threads),
                             .queue_bytes = options_.encode_queue_bytes,
                             .on_file = [this](const PzfHeader& header,
                                               std::span<const std::uint8_t> file) {
                               send_coded(header, file);
                             }};
  pool_ = std::make_unique<EncodePool>(std::move(encode));
  return {};
}

SeriesMetadata SeriesWriter::with_defaults(SeriesMetadata metadata) const {
  set_default(metadata, "DimOrder", options_.dim_order);
  set_default(metadata, "SizeC", options_.shape.c);
  set_default(metadata, "SizeZ", options_.shape.z);
  set_default(metadata, "SizeT", options_.shape.t);
  set_default(metadata, "imageID", sequence_id_);
  set_default(metadata, "StartTime", start_time_s_);
  return metadata;
}

Result<void> SeriesWriter::store_json(std::string_view name, const std::string& text) {
  const auto path = options_.path.child(name);
  if (!path) return path.error();
  const auto node = uploader_.upload(*path, std::span<const char>(text));
  if (!node) return node.error();
  return {};
}

PzfHeader SeriesWriter::header_of(std::uint64_t index, const FrameView& frame) const {
  PzfHeader header;
  header.type = frame.type;
  header.order = storage_order(frame);
  header.width = frame.width;
  header.height = frame.height;
  header.depth = frame.depth;
  header.sequence_id = sequence_id_;
  header.frame_number = static_cast<std::uint32_t>(index);
  header.timestamp = frame.timestamp;
  return header;
}

Result<void> SeriesWriter::accept(std::uint64_t index, const FrameView& frame) {
  const auto refuse = [&](std::errc code, const std::string& why) {
    return Error{code, "frame " + std::to_string(index) + ": " + why};
  };
  if (index >= kMostFrames) return refuse(std::errc::invalid_argument, "too many frames");
  if (frame.first == nullptr) return refuse(std::errc::invalid_argument, "no pixels");
  if (frame.type != options_.type) {
    return refuse(std::errc::invalid_argument, "not of the series' pixel type");
  }
  if (frame.width != options_.width || frame.height != options_.height ||
      frame.depth != options_.depth) {
    return refuse(std::errc::invalid_argument, "not of the series' size");
  }
  const std::lock_guard lock(mutex_);
  if (is_finished_) {
    return refuse(std::errc::operation_not_permitted, "the series is finished");
  }
  if (!accepted_.insert(index) && failed_.erase(index) == 0) {
    return refuse(std::errc::file_exists, "was submitted before");
  }
  under_way_[index] = std::chrono::steady_clock::now();
  return {};
}

Result<void> SeriesWriter::submit(std::uint64_t index, const FrameView& frame,
                                  Deadline deadline) {
  return submit(index, frame, [&](const PzfHeader& header) {
    return pool_ ? pool_->push(header, frame, deadline) : send_raw(header, frame, deadline);
  });
}

Result<void> SeriesWriter::submit_given(std::uint64_t index, const FrameView& frame,
                                        std::shared_ptr<const void> owner, Deadline deadline) {
  return submit(index, frame, [&](const PzfHeader& header) -> Result<void> {
    const auto dense = dense_pixels(frame, header.order);
    if (!dense) return pool_ ? pool_->push(header, frame, deadline) : send_raw(header, frame, deadline);
    GivenBytes pixels{*dense, std::move(owner)};
    return pool_ ? pool_->push_given(header, std::move(pixels), deadline)
                 : send_given(header, pixels, deadline);
  });
}

// `take` copies the frame or takes it over.
Result<void> SeriesWriter::submit(std::uint64_t index, const FrameView& frame, const Take& take) {
  if (auto accepted = accept(index, frame); !accepted) return accepted;
  const auto take_back = [&] {
    const std::lock_guard lock(mutex_);
    accepted_.erase(index);
    under_way_.erase(index);
  };
  const PzfHeader header = header_of(index, frame);
  Result<void> taken;
  try {
    taken = take(header);
  } catch (...) {  // no memory: else it would count as stored
    take_back();
    throw;
  }
  if (taken) return taken;
  take_back();
  return Error{taken.error().code,
               "frame " + std::to_string(index) + ": " + taken.error().what};
}

Result<void> SeriesWriter::send_raw(const PzfHeader& header, const FrameView& frame,
                                    Deadline deadline) {
  const auto path = raw_path(header);
  if (!path) return path.error();
  const auto head = raw_pzf_header(header);
  if (const auto pixels = dense_pixels(frame, header.order)) {
    const std::array<std::span<const char>, 2> pieces{
        std::span(reinterpret_cast<const char*>(head.data()), head.size()), *pixels};
    return put([&](Deadline soon) { return streamer_->put_pieces(*path, pieces, soon); }, deadline);
  }
  const auto fill = [&](std::span<char> buffer) {
    std::memcpy(buffer.data(), head.data(), head.size());
    const auto to = buffer.subspan(head.size());
    copy_pixels(frame, header.order, {reinterpret_cast<std::uint8_t*>(to.data()), to.size()});
  };
  const std::size_t size_bytes = head.size() + header.size_bytes();
  return put([&](Deadline soon) { return streamer_->put(*path, size_bytes, fill, soon); }, deadline);
}

Result<void> SeriesWriter::send_given(const PzfHeader& header, const GivenBytes& pixels,
                                      Deadline deadline) {
  const auto path = raw_path(header);
  if (!path) return path.error();
  const auto head = raw_pzf_header(header);
  const std::span bytes(reinterpret_cast<const char*>(head.data()), head.size());
  return put([&](Deadline soon) { return streamer_->put_given(*path, bytes, pixels, soon); },
             deadline);
}

Result<ClusterPath> SeriesWriter::raw_path(const PzfHeader& header) const {
  return options_.path.child(frame_name(header.frame_number, ".pzf"));
}

void SeriesWriter::send_coded(const PzfHeader& header, std::span<const std::uint8_t> file) {
  const auto path =
      options_.path.child(frame_name(header.frame_number, options_.coding.suffix()));
  const std::span bytes(reinterpret_cast<const char*>(file.data()), file.size());
  const auto try_put = [&](Deadline soon) { return streamer_->put(*path, bytes, soon); };
  auto sent = path ? put(try_put, Deadline::after(kPatience)) : Result<void>(path.error());
  if (!sent) settle(header.frame_number, nullptr, &sent.error());
}

// In short waits, so that giving up the series is noticed; while no node is alive, one may come back.
Result<void> SeriesWriter::put(const TryPut& try_put, Deadline deadline) {
  for (;;) {
    const auto put = try_put(deadline.earlier(Deadline::after(kLook)));
    if (put) return {};
    const std::errc why = put.error().code;
    const bool may_pass = why == std::errc::no_buffer_space || why == std::errc::host_unreachable;
    std::unique_lock lock(mutex_);
    if (!may_pass || is_ending_ || deadline.passed()) return put.error();
    if (why == std::errc::host_unreachable) {
      ending_.wait_until(lock, deadline.earlier(Deadline::after(kLook)).when(),
                         [&] { return is_ending_; });
    }
  }
}

void SeriesWriter::frame_done(const FileStreamer::Done& done) {
  const std::string name = done.path.name();
  const auto frame = parse_frame_name(name);
  if (frame) settle(frame->index, done.node, done.error);
}

void SeriesWriter::settle(std::uint64_t index, const Node* node, const Error* error) {
  SeriesOptions::Done done{index, node, error, {}};
  {
    const std::lock_guard lock(mutex_);
    const auto found = under_way_.find(index);
    if (found != under_way_.end()) {
      done.latency = std::chrono::steady_clock::now() - found->second;
      under_way_.erase(found);
    }
    if (error != nullptr) failed_.insert_or_assign(index, *error);
  }
  if (options_.on_frame) options_.on_frame(done);
}

Result<void> SeriesWriter::add_event(SeriesEvent event) {
  if (auto json = events_json({event}); !json) return json.error();
  const std::size_t bytes = event.name.size() + event.description.size() + sizeof event;
  const std::lock_guard lock(mutex_);
  if (is_finished_) {
    return Error{std::errc::operation_not_permitted, "event: the series is finished"};
  }
  if (event_bytes_ + bytes > kMostEventBytes) {
    return Error{std::errc::no_buffer_space, "event: too many of them"};
  }
  event_bytes_ += bytes;
  events_.push_back(std::move(event));
  return {};
}

Result<SeriesWriter::Outcome> SeriesWriter::finish(const SeriesMetadata& more,
                                                   Deadline deadline) {
  if (auto checked = metadata_json(more); !checked) return checked.error();
  if (pool_ && !pool_->wait_idle(deadline)) {
    return Error{std::errc::timed_out, std::to_string(pool_->load().frames) +
                                           " frames are still being coded"};
  }
  const auto of_files = streamer_->finish(deadline);
  if (!of_files) return of_files.error();

  std::map<std::uint64_t, std::filesystem::path> kept;
  for (const FileStreamer::Failure& failure : *of_files) {
    const std::string name = failure.path.name();
    if (const auto frame = parse_frame_name(name)) kept[frame->index] = failure.kept_as;
  }
  Outcome outcome;
  {
    const std::lock_guard lock(mutex_);
    if (is_finished_) {
      return Error{std::errc::operation_not_permitted, "the series is finished already"};
    }
    for (const auto& [index, error] : failed_) {
      outcome.failures.push_back({index, error, kept[index]});
    }
    outcome.stored_frames = accepted_.count() - failed_.size();
    outcome.missing = accepted_.missing_below(accepted_.end());
  }
  if (!outcome.failures.empty() || !outcome.missing.empty()) return outcome;
  if (auto ended = store_end(more, outcome.stored_frames); !ended) return ended.error();
  outcome.complete = true;
  return outcome;
}

Result<void> SeriesWriter::store_end(const SeriesMetadata& more, std::uint64_t frames) {
  SeriesMetadata metadata = more;
  set_default(metadata, "EndTime", unix_time_s());
  set_default(metadata, std::string(kFrameCountKey), static_cast<std::int64_t>(frames));
  metadata.insert(options_.metadata.begin(), options_.metadata.end());
  metadata = with_defaults(std::move(metadata));
  close_sizes(metadata, frames);
  const auto json = metadata_json(metadata);
  if (!json) return json.error();
  std::vector<SeriesEvent> events;
  {
    const std::lock_guard lock(mutex_);
    events = events_;
  }
  const auto marker = events_json(events);
  if (!marker) return marker.error();
  if (!final_metadata_stored_) {
    if (auto stored = store_json(kFinalMetadataName, *json); !stored) return stored;
    final_metadata_stored_ = true;
  }
  if (auto stored = store_json(kEventsName, *marker); !stored) return stored;
  const std::lock_guard lock(mutex_);
  is_finished_ = true;
  return {};
}

SeriesWriter::Counters SeriesWriter::counters() const {
  Counters counters;
  counters.files = streamer_->counters();
  if (pool_) counters.encoding = pool_->load();
  const std::lock_guard lock(mutex_);
  counters.accepted_frames = accepted_.count();
  counters.failed_frames = failed_.size();
  counters.stored_frames = accepted_.count() - failed_.size() - under_way_.size();
  return counters;
}

}  // namespace skein
