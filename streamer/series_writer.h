// Writes one series into the cluster while it is recorded (docs/wire.md, "Series"): metadata.json,
// frames, final_metadata.json and, when every one of them is acknowledged, events.json, whose
// existence says that the series is complete.
//
// A frame is accepted or refused by submit(); each accepted one is acknowledged by a node or named
// by finish(). Raw frames go from the camera's memory to the sending buffer in one copy, or, given
// away, in none; coded ones are coded on threads of their own. Both queues are bounded in bytes.
//
// Two programs that create one series at the same moment may both begin it, on different nodes;
// their frames then refuse each other. Thread-safe, but finish() is for one thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/node_client.h"
#include "client/placement.h"
#include "client/upload.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/path.h"
#include "discovery/membership.h"
#include "streamer/encode_pool.h"
#include "streamer/file_streamer.h"
#include "streamer/frame_view.h"
#include "streamer/index_ranges.h"
#include "streamer/pzf.h"
#include "streamer/series_layout.h"
#include "streamer/series_metadata.h"

namespace skein {

inline constexpr std::size_t kMostEventBytes = std::size_t{64} << 20;  // text kept until finish()
// PYMEAcquire's: 50 frames in a row lie on one node.
inline constexpr std::uint64_t kFramesPerChunk = 50;

// Frames along each dimension beyond x and y. -1 is open and follows from the number of frames; one
// of the three may be.
struct SeriesShape {
  std::int64_t c = 1;
  std::int64_t z = 1;
  std::int64_t t = -1;
};

struct SeriesOptions {
  // A directory that does not exist yet, or is empty. Usually named *.pcs.
  ClusterPath path;

  PixelType type = PixelType::kUint16;
  std::uint32_t width = 0, height = 0, depth = 1;
  FrameCoding coding;

  std::string dim_order = "XYCZT";  // PYME's: where a frame stands in the image
  SeriesShape shape;
  SeriesMetadata metadata;  // wins over what is derived from the above

  unsigned encode_threads = 0;                      // 0: half of the processors
  std::uint64_t encode_queue_bytes = 256ull << 20;  // of frames that wait to be coded
  FileStreamer::Options stream;                     // its on_done is the writer's own

  struct Done {
    std::uint64_t index;
    const Node* node;    // where it is stored; null: failed
    const Error* error;  // null: stored
    std::chrono::nanoseconds latency;  // from submit() to the answer
  };
  // Called once for each accepted frame, from several threads, without locks held.
  std::function<void(const Done&)> on_frame;
};

class SeriesWriter {
 public:
  // Refuses a series that exists and stores metadata.json. Errors: invalid_argument (options that
  // make no series, or a coding that does not go with the pixels); file_exists; host_unreachable;
  // as Uploader::upload(). `membership` and `client` outlive the writer.
  static Result<std::unique_ptr<SeriesWriter>> create(Membership& membership, NodeClient& client,
                                                      SeriesOptions options);
  // What was accepted and is not stored yet is given up as FileStreamer does: finish() first.
  ~SeriesWriter();

  // Accepts frame `index`, from 0, in any order; the pixels may be used again on return. Returns by
  // `deadline`. Errors: no_buffer_space (the queue was full till then), host_unreachable,
  // invalid_argument (not of the series' size or type, index beyond kMostFrames), file_exists (that
  // index was accepted; one that failed may be submitted again), operation_not_permitted (the series
  // is finished). After an error nothing was accepted.
  Result<void> submit(std::uint64_t index, const FrameView& frame, Deadline deadline);

  // The same without a copy, if the pixels lie densely: `owner` keeps them as they are, and is let go
  // of (given_bytes.h) before submit_given() returns if the frame is refused, or was copied because
  // of its strides; else once it is coded, if it is to be; else as FileStreamer::put_given() says.
  // All are by the end of finish(), or of the writer. Null: the pixels outlive the writer.
  Result<void> submit_given(std::uint64_t index, const FrameView& frame,
                            std::shared_ptr<const void> owner, Deadline deadline);

  // Kept until finish(). Errors: no_buffer_space (kMostEventBytes), invalid_argument (its time or
  // text), operation_not_permitted.
  Result<void> add_event(SeriesEvent event);

  struct Failure {
    std::uint64_t index = 0;
    Error error;
    std::filesystem::path kept_as;  // the frame's file in the recovery folder; "" = not kept
  };
  struct Outcome {
    bool complete = false;  // the completion marker is stored: nothing below is missing
    std::uint64_t stored_frames = 0;
    std::vector<Failure> failures;              // accepted and not stored, by index
    std::vector<IndexRanges::Range> missing;    // never accepted, below the highest index
  };
  // Waits for every frame. If all frames from 0 to the highest are stored, stores
  // final_metadata.json (the metadata, `more` on top, the sizes as recorded) and events.json, and
  // the series is complete; else neither, and failed or missing frames may be submitted and finish()
  // be called again. Errors: timed_out (frames are on their way; call again), as
  // Uploader::upload() for the two files (call again), invalid_argument (`more` is no metadata).
  Result<Outcome> finish(const SeriesMetadata& more, Deadline deadline);

  struct Counters {
    FileStreamer::Counters files;  // of the frames' files
    EncodePool::Load encoding;
    std::uint64_t accepted_frames = 0;
    std::uint64_t stored_frames = 0;
    std::uint64_t failed_frames = 0;
  };
  Counters counters() const;

  const SeriesOptions& options() const { return options_; }

 private:
  SeriesWriter(Membership& membership, NodeClient& client, SeriesOptions options,
               std::int64_t sequence_id);
  Result<void> begin();
  SeriesMetadata with_defaults(SeriesMetadata metadata) const;
  Result<void> store_json(std::string_view name, const std::string& text);
  Result<void> store_end(const SeriesMetadata& more, std::uint64_t frames);
  PzfHeader header_of(std::uint64_t index, const FrameView& frame) const;
  Result<void> accept(std::uint64_t index, const FrameView& frame);
  using Take = std::function<Result<void>(const PzfHeader& header)>;
  Result<void> submit(std::uint64_t index, const FrameView& frame, const Take& take);
  Result<ClusterPath> raw_path(const PzfHeader& header) const;
  Result<void> send_raw(const PzfHeader& header, const FrameView& frame, Deadline deadline);
  Result<void> send_given(const PzfHeader& header, const GivenBytes& pixels, Deadline deadline);
  void send_coded(const PzfHeader& header, std::span<const std::uint8_t> file);
  using TryPut = std::function<Result<FileStreamer::Ticket>(Deadline)>;
  Result<void> put(const TryPut& try_put, Deadline deadline);
  void frame_done(const FileStreamer::Done& done);
  void settle(std::uint64_t index, const Node* node, const Error* error);

  Membership& membership_;
  NodeClient& client_;
  const SeriesOptions options_;
  const std::int64_t sequence_id_;
  const double start_time_s_;  // unix time
  Placement placement_;
  Uploader uploader_;

  mutable std::mutex mutex_;  // guards everything below, up to the next blank line
  std::condition_variable_any ending_;
  IndexRanges accepted_;
  std::unordered_map<std::uint64_t, TimePoint> under_way_;  // submitted, not answered
  std::map<std::uint64_t, Error> failed_;
  std::vector<SeriesEvent> events_;
  std::size_t event_bytes_ = 0;
  bool is_ending_ = false;
  bool is_finished_ = false;
  bool final_metadata_stored_ = false;

  std::unique_ptr<FileStreamer> streamer_;
  std::unique_ptr<EncodePool> pool_;  // null for raw frames; ends first: it puts into streamer_
};

}  // namespace skein
