#include "dataserver/tables.h"

#include <algorithm>
#include <chrono>

#include "dataserver/get_file.h"
#include "dataserver/grown_mark.h"
#include "dataserver/owner_reply.h"
#include "dataserver/table_reader.h"
#include "dataserver/table_reading.h"

namespace skein {
namespace {

std::unique_ptr<BodySink> answer(Reply reply) {
  return std::make_unique<DiscardedBody>(std::move(reply));
}

Reply without_hdf5() {
  return refusal(501, "this server was built without HDF5: tables and series in one file are not "
                      "kept here");
}

Error busy() {
  return {std::errc::resource_unavailable_try_again, "too many appends wait for the disk"};
}

// docs/wire.md, "Tables".
Reply refusal_of_job(const Error& error) {
  switch (error.code) {
    case std::errc::invalid_argument:
    case std::errc::no_link: return refusal(409, error.what);
    case std::errc::not_supported: return refusal(415, error.what);
    case std::errc::function_not_supported: return without_hdf5();
    case std::errc::resource_unavailable_try_again: {
      Reply reply = refusal(503, error.what);
      reply.add_field("Retry-After", "1");
      return reply;
    }
    default: return refusal_of(error);
  }
}

bool is_recent(std::int64_t mtime_ns) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::nanoseconds(now).count() - mtime_ns <
         std::chrono::nanoseconds(TableEngine::kSettled).count();
}

}  // namespace

// Hands a job to the engine once, and waits for it.
class Tables::Waiting : public BodySink {
 public:
  explicit Waiting(Tables& tables) : tables_(tables) {}

  bool ready() final {
    if (!decided_) {
      const auto job = prepare();
      if (!job) return false;
      decided_ = true;
      job_ = *job;
      if (job_ && !tables_.engine_->submit(job_)) job_->fail(busy());
    }
    return !job_ || job_->done();
  }

 protected:
  using Job = std::shared_ptr<TableJob>;

  // Null: no job is needed. nullopt: to be asked again after a wake.
  virtual std::optional<Job> prepare() = 0;
  const Job& job() const { return job_; }

  Tables& tables_;

 private:
  bool decided_ = false;
  Job job_;
};

class Tables::Append final : public Waiting {
 public:
  Append(Tables& tables, const RequestHead& request, AppendTarget target,
         std::unique_ptr<Decoder> decoder, std::optional<RequestId> id)
      : Waiting(tables),
        target_(std::move(target)),
        request_target_(request.target()),
        content_type_(request.find("Content-Type").value_or("")),
        id_(id),
        can_follow_(request.find("Host").has_value()),
        decoder_(std::move(decoder)) {}

  void take(std::span<const char> piece) override {
    if (failure_ || piece.empty()) return;
    const auto keep_plain = [this](std::span<const char> plain) { return keep(plain); };
    const auto taken = decoder_ ? decoder_->take(piece, keep_plain) : keep(piece);
    if (taken) return;
    failure_ = taken.error();
    body_ = {};
    memory_ = {};
  }

  // The engine has flushed what it acknowledges.
  bool safe() const override { return true; }

  Reply finish() override {
    if (failure_) return refusal_of_job(*failure_);
    if (verdict_.kind != Owners::Verdict::Kind::kHere) {
      return reply_elsewhere(verdict_, request_target_, can_follow_);
    }
    if (job()->failure) return refusal_of_job(*job()->failure);
    Reply reply;
    if (job()->repeated) reply.add_field("Skein-Repeated", "1");
    return reply;
  }

 private:
  Result<void> keep(std::span<const char> plain) {
    const std::size_t size = body_.size() + plain.size();
    if (size > kMostBodyBytes) {
      return Error{std::errc::file_too_large,
                   "one append has at most " + std::to_string(kMostBodyBytes) + " bytes"};
    }
    if (size > memory_.bytes()) {
      constexpr std::size_t kLeast = 64 * 1024;
      auto larger = tables_.bodies_.take(std::max(kLeast, 2 * size));
      if (larger.bytes() == 0) return busy();
      memory_ = std::move(larger);
    }
    body_.append(plain.data(), plain.size());
    return {};
  }

  std::optional<Job> prepare() override {
    if (!failure_ && decoder_ && !decoder_->complete()) {
      failure_ = Error{std::errc::bad_message, "coded body ends too early"};
    }
    if (failure_) return Job();
    const auto found = find_beneath(tables_.store_.root(), target_.file);
    if (!found || !*found) {
      verdict_ = tables_.owners_.ask(target_.file);
      if (verdict_.kind == Owners::Verdict::Kind::kAsking) return std::nullopt;
      if (verdict_.kind != Owners::Verdict::Kind::kHere) return Job();
    }
    const std::uint64_t bytes = body_.size();
    auto change = parse_table_change(target_, content_type_, std::move(body_));
    if (!change) {
      failure_ = change.error();
      return Job();
    }
    auto job = std::make_shared<TableJob>();
    job->kind = TableJob::Kind::kChange;
    job->file = target_.file;
    job->change = std::move(*change);
    job->request_id = id_;
    job->body_bytes = bytes;
    job->memory = std::move(memory_);
    return job;
  }

  const AppendTarget target_;
  const std::string request_target_;
  const std::string content_type_;
  const std::optional<RequestId> id_;
  const bool can_follow_;
  const std::unique_ptr<Decoder> decoder_;
  MemoryBudget::Share memory_;
  std::string body_;
  std::optional<Error> failure_;
  Owners::Verdict verdict_;
};

class Tables::Get final : public Waiting {
 public:
  Get(Tables& tables, std::shared_ptr<const RequestHead> request, const Target& target,
      Otherwise otherwise)
      : Waiting(tables),
        request_(std::move(request)),
        target_(target),
        otherwise_(std::move(otherwise)) {}

  void take(std::span<const char>) override {}

  Reply finish() override {
    if (failure_) return refusal_of_job(*failure_);
    if (!job()) return otherwise_();
    if (job()->failure) return refusal_of_job(*job()->failure);
    if (job()->kind == TableJob::Kind::kForeign) return reading_->reply(std::move(job()->text));
    if (reading_) return reading_->reply();
    return file_reply(std::move(*job()->snapshot), FileKind::kRewritten, target_.path.name(),
                      *request_);
  }

 private:
  std::optional<Job> prepare() override {
    const auto& names = target_.path.components();
    ClusterPath file;
    for (std::size_t i = 0; i < names.size(); ++i) {
      file = *file.child(names[i]);
      const auto kind = growth_kind(names[i]);
      if (!kind || *kind == GrowthKind::kText) continue;
      const auto found = find_beneath(tables_.store_.root(), file);
      if (!found || !*found) return Job();
      if ((*found)->kind != Found::Kind::kFile) continue;
      if (i + 1 == names.size() && !target_.directory) return whole_file(file, **found);
      return part_of(file, **found, *kind, i + 1);
    }
    return Job();
  }

  Job whole_file(const ClusterPath& file, const Found& found) {
    if (!found.writable || !is_recent(found.mtime_ns) || !tables_.engine_) return nullptr;
    auto job = std::make_shared<TableJob>();
    job->kind = TableJob::Kind::kSnapshot;
    job->file = file;
    return job;
  }

  Job part_of(const ClusterPath& file, const Found& found, GrowthKind kind, std::size_t first) {
    std::string part;
    for (std::size_t i = first; i < target_.path.components().size(); ++i) {
      part += (part.empty() ? "" : "/") + target_.path.components()[i];
    }
    if (part.empty() ? kind != GrowthKind::kSeries : target_.directory) return nullptr;
    if (!tables_.engine_) {
      failure_ = Error{std::errc::function_not_supported, ""};
      return nullptr;
    }
    auto reading = TableReading::of(kind, part, target_, tables_.reads_);
    if (!reading) {
      failure_ = reading.error();
      return nullptr;
    }
    reading_ = std::move(*reading);
    auto job = std::make_shared<TableJob>();
    job->file = file;
    if (!found.writable && !read_elsewhere(*job, kind, part)) return nullptr;
    if (job->kind == TableJob::Kind::kForeign) return job;
    job->kind = TableJob::Kind::kRead;
    job->read = [reading = reading_](TableFile& table) { return reading->step(table); };
    return job;
  }

  // Makes it a job for another process if this server did not write the file. False: failure_ is set.
  bool read_elsewhere(TableJob& job, GrowthKind kind, const std::string& part) {
    auto file = tables_.store_.open_file(job.file);
    if (!file) {
      failure_ = file.error();
      return false;
    }
    if (has_grown(file->fd.get())) return true;
    job.kind = TableJob::Kind::kForeign;
    job.source = std::move(file->fd);
    job.reader_words = reader_words(kind, job.file, part, target_.query);
    return true;
  }

  const std::shared_ptr<const RequestHead> request_;  // the target borrows from it
  const Target target_;
  const Otherwise otherwise_;
  std::optional<Error> failure_;
  std::shared_ptr<TableReading> reading_;
};

class Tables::Seal final : public Waiting {
 public:
  Seal(Tables& tables, const RequestHead& request, ClusterPath path)
      : Waiting(tables),
        path_(std::move(path)),
        request_target_(request.target()),
        can_follow_(request.find("Host").has_value()) {}

  void take(std::span<const char>) override {}

  Reply finish() override {
    if (!job()->failure) return {};
    const bool absent = job()->failure->code == std::errc::no_such_file_or_directory;
    const auto verdict = tables_.owners_.known(path_);
    if (absent && verdict.kind != Owners::Verdict::Kind::kHere) {
      return reply_elsewhere(verdict, request_target_, can_follow_);
    }
    return refusal_of_job(*job()->failure);
  }

 private:
  std::optional<Job> prepare() override {
    auto job = std::make_shared<TableJob>();
    job->kind = TableJob::Kind::kSeal;
    job->file = path_;
    return job;
  }

  const ClusterPath path_;
  const std::string request_target_;
  const bool can_follow_;
};

Tables::Tables(FileStore& store, std::unique_ptr<TableEngine> engine, Owners& owners)
    : store_(store), owners_(owners), engine_(std::move(engine)) {}

bool Tables::names_hdf5(const ClusterPath& path) {
  const auto kind = path.is_root() ? std::nullopt : growth_kind(path.name());
  return kind && *kind != GrowthKind::kText;
}

std::unique_ptr<BodySink> Tables::append(const RequestHead& request, AppendTarget target,
                                         std::unique_ptr<Decoder> decoder,
                                         std::optional<RequestId> id) {
  if (!engine_) return answer(without_hdf5());
  if (target.part.empty() || target.part.find('/') != target.part.npos) {
    return answer(refusal(400, target.kind == GrowthKind::kTable
                                   ? "name a table behind the file: /" + target.file.text() + "/Results"
                                   : "name a member behind the file: metadata.json, events.json or "
                                     "frameNNNNN.pzf"));
  }
  return std::make_unique<Append>(*this, request, std::move(target), std::move(decoder), id);
}

std::unique_ptr<BodySink> Tables::get(std::shared_ptr<const RequestHead> request,
                                      const Target& target, Otherwise otherwise) {
  const auto& names = target.path.components();
  const bool concerned = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    const auto kind = growth_kind(name);
    return kind && *kind != GrowthKind::kText;
  });
  if (!concerned) return nullptr;
  return std::make_unique<Get>(*this, std::move(request), target, std::move(otherwise));
}

std::unique_ptr<BodySink> Tables::seal(const RequestHead& request, const ClusterPath& path) {
  if (!engine_) return answer(without_hdf5());
  return std::make_unique<Seal>(*this, request, path);
}

}  // namespace skein
