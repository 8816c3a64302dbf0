// FileStreamer: what became of the files.
#include <algorithm>
#include <limits>

#include "streamer/file_streamer.h"

namespace skein {
namespace {

double headroom_s(const FileStreamer::Counters& counters) {
  const double filling = counters.accepted_bytes_per_s - counters.stored_bytes_per_s;
  if (filling <= 0) return std::numeric_limits<double>::infinity();
  const std::uint64_t limit = counters.queue_limit_bytes + counters.spill_limit_bytes;
  const std::uint64_t used = counters.queued_bytes + counters.spilled_bytes;
  return static_cast<double>(limit - std::min(limit, used)) / filling;
}

}  // namespace

void FileStreamer::failed(const OutgoingPtr& file, const Error& why) {
  Failure failure{file->path, why, file->kept_as, file->ticket};
  if (!file->kept_as.empty()) {
    // It was spilled, and lies there still.
  } else if (auto kept = kept_.keep(file->path, file->body->pieces())) {
    failure.kept_as = std::move(*kept);
  } else if (!options_.recovery_folder.empty()) {
    failure.error.what += "; its bytes could not be kept: " + kept.error().what;
  }
  if (options_.on_done) {
    options_.on_done({file->path, nullptr, &failure.error,
                      std::chrono::steady_clock::now() - file->submitted, file->ticket,
                      file->size_bytes});
  }
  const std::lock_guard lock(mutex_);
  ++counters_.failed_files;
  failure_of_[file->ticket] = failures_.size();
  failures_.push_back(std::move(failure));
  tickets_.close(file->ticket);
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
  if (const auto at = failure_of_.find(ticket); at != failure_of_.end()) {
    return failures_[at->second].error;
  }
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
  {
    std::unique_lock lock(mutex_);
    if (!closing_.wait_until(lock, deadline.when(), [&] { return tickets_.open_count() == 0; })) {
      return Error{std::errc::timed_out,
                   std::to_string(tickets_.open_count()) + " files are still on their way"};
    }
  }
  // A connection may have the last ones in hand still.
  if (!buffers_.wait_all_back(deadline)) {
    return Error{std::errc::timed_out, "a node that has answered is still being sent to"};
  }
  const std::lock_guard lock(mutex_);
  return failures_;
}

std::vector<FileStreamer::Failure> FileStreamer::abandon() {
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
  }
  const auto ending = all_streams();
  const Error why{std::errc::operation_canceled, "not stored when the streamer ended"};
  // What has ended takes nothing more, so what a later one returns meanwhile comes to the last.
  for (const auto& stream : ending) {
    for (const OutgoingPtr& file : stream->end()) failed(file, why);
  }
  for (const OutgoingPtr& file : backlog_.end()) failed(file, why);
  const std::lock_guard lock(mutex_);
  return failures_;
}

Result<std::uint64_t> FileStreamer::send_left_behind() {
  auto left = kept_.left_behind();
  if (!left) return left.error();
  std::vector<OutgoingPtr> files;
  {
    const std::lock_guard lock(mutex_);
    if (abandoned_) return Error{std::errc::operation_canceled, "the streamer was ended"};
    for (KeptFiles::Kept& kept : *left) {
      auto file = std::make_shared<OutgoingFile>();
      file->path = std::move(kept.path);
      file->size_bytes = kept.size_bytes;
      file->kept_as = std::move(kept.file);
      file->submitted = std::chrono::steady_clock::now();
      if (options_.checksums) file->checksum = BodyChecksum::when_asked();
      // The program that left it may have sent it.
      file->unclear = file->left_behind = true;
      file->ticket = tickets_.open();
      ++counters_.accepted_files;
      counters_.accepted_bytes += file->size_bytes;
      files.push_back(std::move(file));
    }
  }
  const std::uint64_t count = files.size();
  backlog_.add_spilled(std::move(files));
  return count;
}

FileStreamer::Counters FileStreamer::counters() const {
  Counters counters;
  {
    const std::lock_guard lock(mutex_);
    counters = counters_;
    counters.queued_files = tickets_.open_count();
    const auto now = std::chrono::steady_clock::now();
    counters.accepted_bytes_per_s = accepting_.per_second(now);
    counters.stored_bytes_per_s = storing_.per_second(now);
  }
  std::uint64_t most = 0;
  for (const auto& stream : all_streams()) {
    const auto of_node = stream->counters();
    counters.offered_again_files += of_node.offered_again_files;
    counters.sent_files += of_node.sent_files;
    counters.sent_bytes += of_node.sent_bytes;
    if (of_node.pending_bytes > most) counters.slowest_node = stream->node().label();
    most = std::max(most, of_node.pending_bytes);
  }
  const auto of_backlog = backlog_.counters();
  counters.spilled_files = of_backlog.spilled_files;
  counters.spilled_bytes = of_backlog.spilled_bytes;
  counters.spilled_in_all_files = of_backlog.spilled_in_all_files;
  counters.spill_limit_bytes = of_backlog.spill_limit_bytes;
  counters.queued_bytes = buffers_.out_bytes();
  counters.queue_limit_bytes = buffers_.limit_bytes();
  counters.headroom_s = headroom_s(counters);
  return counters;
}

}  // namespace skein
