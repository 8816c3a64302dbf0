#include "dataserver/site.h"

#include <nlohmann/json.hpp>

#include "core/uuid.h"
#include "dataserver/announced_body.h"
#include "dataserver/directory_reply.h"
#include "dataserver/get_file.h"
#include "dataserver/glob.h"
#include "dataserver/piece_body.h"
#include "dataserver/streamed_listing.h"

namespace skein {
namespace {

// A client waits no longer (docs/wire.md, "What PYME's client does").
constexpr std::chrono::seconds kGlobTime{10};

// A body up to this size is received without a look whether its name is free.
constexpr std::uint64_t kLinkedUnseenBytes = 256 * 1024;

std::unique_ptr<BodySink> answer(Reply reply) {
  return std::make_unique<DiscardedBody>(std::move(reply));
}

// For what must see, or not overtake, the requests that were sent before it.
std::unique_ptr<BodySink> answer_later(std::function<Reply()> find) {
  return std::make_unique<DeferredAnswer>(std::move(find));
}

Reply reply_to(const Result<void>& done) { return done ? Reply() : refusal_of(done.error()); }

Reply refuse_private() { return refusal(403, "this name is private to the server"); }

// What is true only now.
Reply momentary(std::string_view type, std::string text) {
  Reply reply;
  reply.add_field("Content-Type", type);
  reply.add_field("Cache-Control", "no-store");
  reply.text = std::move(text);
  return reply;
}

Reply metrics_reply(const Metrics& metrics) {
  return momentary("text/plain; version=0.0.4; charset=utf-8", metrics.text());
}

Reply json_reply(std::string text) {
  Reply reply;
  reply.add_field("Content-Type", "application/json; charset=utf-8");
  reply.text = std::move(text);
  return reply;
}

// The first component if it is a name that docs/wire.md reserves for PUT; else "".
std::string reserved_name(const ClusterPath& path) {
  if (path.is_root()) return {};
  const std::string& first = path.components().front();
  const bool reserved = first == "__stage" || first == "__piece" ||
                        first == "__publish" || first == "__drop" ||
                        first == "__seal" || first == "__own" ||
                        first == "__status" || first == "__metrics" ||
                        first == "_aggregate" ||
                        first.starts_with("__aggregate") || first.starts_with("__pyramid_") ||
                        first.starts_with("__glob");
  return reserved ? first : std::string();
}

// Everything after the first `count` components.
ClusterPath tail(const ClusterPath& path, std::size_t count) {
  ClusterPath rest;
  for (std::size_t i = count; i < path.components().size(); ++i) {
    // Components of a path are components of any shorter one.
    rest = *rest.child(path.components()[i]);
  }
  return rest;
}

}  // namespace

Site::Site(FileStore& store, StageShelf& shelf, Appends& appends, Tables& tables, Mirror& mirror,
           NodeStatus& status, const Metrics& metrics)
    : store_(store),
      shelf_(shelf),
      appends_(appends),
      tables_(tables),
      mirror_(mirror),
      status_(status),
      metrics_(metrics) {}

std::unique_ptr<BodySink> Site::begin(RequestHead request) {
  const std::string_view method = request.method();
  const auto target = parse_target(request.target());
  const bool appends = target && names_append(target->path);
  if (method == "OPTIONS") {
    Reply reply;
    reply.add_field("Allow", appends ? "GET, HEAD, PUT, POST, OPTIONS" : "GET, HEAD, PUT, OPTIONS");
    return answer(std::move(reply));
  }
  const bool reads = method == "GET" || method == "HEAD";
  if (!reads && method != "PUT" && !(method == "POST" && appends)) {
    return answer(refusal(501, "only GET, HEAD, PUT and OPTIONS, and POST for appends, are "
                               "implemented"));
  }
  if (!target) return answer(refusal_of(target.error()));
  if (target->path.is_private()) return answer(refuse_private());
  if (!reads) return put(request, *target);
  // A moved head keeps its text in place, so what the target borrows stays.
  const auto head = std::make_shared<const RequestHead>(std::move(request));
  const auto plainly = [this, head, target = *target] { return get(*head, target); };
  if (auto sink = tables_.get(head, *target, plainly)) return sink;
  if ((target->directory || target->path.is_root()) && wants_pieces(*head)) {
    return std::make_unique<StreamedListing>(store_.index(), target->path, head);
  }
  return answer_later(plainly);
}

Reply Site::get(const RequestHead& request, const Target& target) {
  if (target.path.components().size() == 1) {
    const std::string name = target.path.name();
    if (name == "__status" && !target.directory) {
      return momentary("application/json; charset=utf-8", status_.json());
    }
    if (name == "__metrics" && !target.directory) return metrics_reply(metrics_);
    if (name.starts_with("__glob")) return get_glob(target);
  }
  if (target.directory || target.path.is_root()) {
    const auto view = store_.index().listing(target.path);
    return view ? directory_reply(*view, target.path, request) : refusal_of(view.error());
  }
  auto file = store_.open_file(target.path);
  if (file) return file_as_it_is(std::move(*file), target.path, request);
  // Where Prometheus looks; a file of that name in the root goes before.
  const bool missing = file.error().code == std::errc::no_such_file_or_directory;
  if (missing && target.path.text() == "metrics") {
    return metrics_reply(metrics_);
  }
  if (file.error().code != std::errc::is_a_directory) return refusal_of(file.error());
  Reply moved;
  moved.status = 301;
  const std::string query = target.query.empty() ? "" : "?" + std::string(target.query);
  moved.add_field("Location", target.path.directory_target() + query);
  return moved;
}

Reply Site::file_as_it_is(FileStore::OpenFile file, const ClusterPath& path,
                          const RequestHead& request) {
  auto kind = FileKind::kSealed;
  // What is written once has no write permission: no need to look.
  const auto counts = file.found.writable ? appends_.files().committed_bytes(path) : std::nullopt;
  if (counts) {
    kind = FileKind::kGrowing;
    file.found.size_bytes = *counts;
  } else if (file.found.writable && Tables::names_hdf5(path)) {
    kind = FileKind::kRewritten;
  }
  return file_reply(std::move(file), kind, path.name(), request);
}

Reply Site::get_glob(const Target& target) {
  const auto matches = glob(
      store_.root(), target.query_value("pattern"), Deadline::after(kGlobTime),
      [this](auto&&... file) { return store_.is_torn(std::forward<decltype(file)>(file)...); });
  if (!matches) return refusal_of(matches.error());
  const nlohmann::json list = *matches;
  return json_reply(list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Site::Sink Site::put(const RequestHead& request, const Target& target) {
  if (target.climbed) return answer(refusal(400, "the path leads above the root"));
  const bool below_growing = !target.path.is_root() &&
                             target.path.components().front() == kGrowingFolder;
  if (below_growing && target.directory && request.method() == "PUT") {
    return answer_later([this, path = target.path] { return reply_to(store_.make_directory(path)); });
  }
  if (names_append(target.path)) {
    if (target.query.find("MirrorSource=") != std::string_view::npos) {
      return answer(refusal(403, "files that grow are not copied"));
    }
    return appends_.append(request, target);
  }
  if (!reserved_name(target.path).empty()) return put_reserved(request, target);
  const ClusterPath& path = target.path;
  if (target.query.starts_with("MirrorSource=") ||
      target.query.find("&MirrorSource=") != std::string_view::npos) {
    if (target.directory) return answer(refusal(400, "a directory cannot be mirrored"));
    return std::make_unique<MirrorBody>(mirror_, path, target.query_value("MirrorSource"));
  }
  if (target.directory || path.is_root()) {
    return answer_later([this, path] { return reply_to(store_.make_directory(path)); });
  }
  const BodyFraming framing = request.framing();
  const bool asks = request.has_token("Expect", "100-continue");
  const bool small =
      framing.kind == BodyFraming::Kind::kLength && framing.length <= kLinkedUnseenBytes && !asks;
  const auto check = small ? FileStore::NameCheck::kAtPublish : FileStore::NameCheck::kNow;
  return put_body(request, path, check,
                  [this, path](StagedFile& stage) { return store_.publish(stage, path); });
}

Site::Sink Site::put_body(const RequestHead& request, const ClusterPath& path,
                          FileStore::NameCheck check, PutBody::Publish publish) {
  const BodyFraming framing = request.framing();
  auto body = announced_body(request);
  if (body.refusal) return answer(std::move(*body.refusal));
  const auto announced = digests_of(request);
  if (!announced) return answer(refusal_of(announced.error()));
  auto stage = store_.stage(path, framing.length, check);
  if (!stage) return answer(refusal_of(stage.error()));
  return std::make_unique<PutBody>(
      ReceivedFile(store_, std::move(*stage), framing.length, std::move(body.decoder), *announced),
      std::move(publish));
}

Site::Sink Site::put_piece(const RequestHead& request, const std::string& id,
                           const ClusterPath& path) {
  const auto range = parse_piece_range(request.find("Content-Range").value_or(""));
  const BodyFraming framing = request.framing();
  if (!range || framing.kind != BodyFraming::Kind::kLength ||
      framing.length != range->size_bytes) {
    return answer(refusal(400, "a piece needs a Content-Range that fits its Content-Length"));
  }
  if (request.find("Content-Encoding").value_or("identity") != "identity") {
    return answer(refusal(415, "a piece comes as it is"));
  }
  const auto announced = digests_of(request);
  if (!announced) return answer(refusal_of(announced.error()));
  if (auto fits = store_.check(path, framing.length); !fits) {
    return answer(refusal_of(fits.error()));
  }
  if (range->size_bytes == 0) {
    return answer_later([this, id, size_bytes = *range->whole_bytes] {
      return piece_reply(shelf_.resize(id, size_bytes));
    });
  }
  auto piece = shelf_.piece(id, range->first);
  if (!piece) return answer(refusal_of(piece.error()));
  return std::make_unique<PieceBody>(std::move(*piece), *range, *announced);
}

Site::Sink Site::put_reserved(const RequestHead& request, const Target& target) {
  const std::string name = reserved_name(target.path);
  if (name == "__status" || name == "__metrics" || name.starts_with("__glob")) {
    return answer(refusal(403, name + " is a reserved name"));
  }
  if (name == "__seal" || name == "__own") {
    const ClusterPath path = tail(target.path, 1);
    if (path.is_root() || target.directory) return answer(refusal(400, "no file is named"));
    if (path.is_private()) return answer(refuse_private());
    return name == "__seal" ? appends_.seal(request, path) : appends_.claim(request, path);
  }
  if (name.starts_with("__pyramid_")) {
    return answer(refusal(501, "Skein makes no image pyramids; the tools that read them can"));
  }
  if (name != "__stage" && name != "__piece" && name != "__publish" && name != "__drop") {
    return answer(refusal(404, name + " is a reserved name and means nothing here"));
  }
  const std::vector<std::string>& parts = target.path.components();
  const std::string id = parts.size() > 1 ? parts[1] : std::string();
  if (!is_uuid(id)) return answer(refusal(400, "a stage is named by a lower-case UUID"));
  if (name == "__drop") return answer_later([this, id] { return reply_to(shelf_.drop(id)); });
  const ClusterPath path = tail(target.path, 2);
  if (path.is_root()) return answer(refusal(400, "no path given"));
  if (path.is_private() || !reserved_name(path).empty()) return answer(refuse_private());
  if (name == "__publish") {
    return answer_later([this, id, path] { return reply_to(shelf_.publish(id, path)); });
  }
  if (name == "__piece") return put_piece(request, id, path);
  return put_body(request, path, FileStore::NameCheck::kNow,
                  [this, id](StagedFile& stage) { return shelf_.keep(id, stage); });
}

}  // namespace skein
