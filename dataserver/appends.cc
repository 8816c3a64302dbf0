#include "dataserver/appends.h"

#include "core/uuid.h"
#include "dataserver/announced_body.h"
#include "dataserver/append_body.h"
#include "dataserver/owner_reply.h"

namespace skein {
namespace {

std::unique_ptr<BodySink> answer(Reply reply) {
  return std::make_unique<DiscardedBody>(std::move(reply));
}

// Why an append or seal failed, as docs/wire.md has it.
Reply refusal_to_grow(const Error& error) {
  const bool conflict =
      error.code == std::errc::file_exists || error.code == std::errc::no_link;
  return conflict ? refusal(409, error.what) : refusal_of(error);
}

// A raw writer (docs/wire.md, "HTTP rules") knows no redirects.
bool can_follow(const RequestHead& request) { return request.find("Host").has_value(); }

bool is_here(const Owners::Verdict& verdict) {
  return verdict.kind == Owners::Verdict::Kind::kHere;
}

}  // namespace

// A text append whose file may be another node's.
class Appends::Text final : public BodySink {
 public:
  Text(Appends& appends, const RequestHead& request, ClusterPath path,
       std::unique_ptr<Decoder> decoder, std::optional<RequestId> id)
      : appends_(appends),
        path_(std::move(path)),
        target_(request.target()),
        can_follow_(can_follow(request)),
        id_(id),
        body_(appends.store_, appends.budget_, std::move(decoder),
              [this](const AppendBytes& body) { return carry_out(body); }) {}

  void take(std::span<const char> piece) override { body_.take(piece); }
  bool ready() override {
    if (appends_.files_.committed_bytes(path_)) return true;
    verdict_ = appends_.owners_.ask(path_);
    return verdict_.kind != Owners::Verdict::Kind::kAsking;
  }
  Reply finish() override { return body_.finish(); }

 private:
  Reply carry_out(const AppendBytes& body) {
    if (!is_here(verdict_)) return reply_elsewhere(verdict_, target_, can_follow_);
    const SyncGate* const gate = appends_.store_.gate();
    if (gate && gate->failed()) return refusal(500, "the disk does not take what is written");
    const auto appended = appends_.files_.append(path_, body, id_);
    if (!appended) return refusal_to_grow(appended.error());
    Reply reply;
    reply.add_field("Skein-Offset", std::to_string(appended->offset));
    if (appended->repeated) reply.add_field("Skein-Repeated", "1");
    return reply;
  }

  Appends& appends_;
  const ClusterPath path_;
  const std::string target_;
  const bool can_follow_;
  const std::optional<RequestId> id_;
  Owners::Verdict verdict_;
  AppendBody body_;
};

// The end of growth of a file that may be another node's.
class Appends::Seal final : public BodySink {
 public:
  Seal(Appends& appends, const RequestHead& request, ClusterPath path)
      : appends_(appends),
        path_(std::move(path)),
        target_(request.target()),
        can_follow_(can_follow(request)) {}

  void take(std::span<const char>) override {}
  bool ready() override {
    verdict_ = appends_.owners_.known(path_);
    return true;
  }
  Reply finish() override {
    const auto sealed = appends_.files_.seal(path_);
    if (sealed) return {};
    const bool absent = sealed.error().code == std::errc::no_such_file_or_directory;
    if (absent && !is_here(verdict_)) return reply_elsewhere(verdict_, target_, can_follow_);
    return refusal_to_grow(sealed.error());
  }

 private:
  Appends& appends_;
  const ClusterPath path_;
  const std::string target_;
  const bool can_follow_;
  Owners::Verdict verdict_;
};

Appends::Appends(FileStore& store, GrowingFiles& files, Tables& tables, Owners& owners)
    : store_(store), files_(files), tables_(tables), owners_(owners) {}

std::unique_ptr<BodySink> Appends::append(const RequestHead& request, const Target& target) {
  auto asked = parse_append_target(target.path);
  if (!asked) {
    const bool unknown = asked.error().code == std::errc::not_supported;
    return answer(refusal(unknown ? 415 : 400, asked.error().what));
  }
  if (target.directory) return answer(refusal(400, "a directory does not grow"));
  auto body = announced_body(request);
  if (body.refusal) return answer(std::move(*body.refusal));
  std::optional<RequestId> id;
  if (const auto text = request.find("Skein-Request-Id")) {
    id = parse_request_id(*text);
    if (!id) return answer(refusal(400, "Skein-Request-Id must be a lower-case UUID"));
  }
  if (asked->kind != GrowthKind::kText) {
    return tables_.append(request, std::move(*asked), std::move(body.decoder), id);
  }
  if (request.framing().length > GrowingFile::kMostBytes) {
    return answer(refusal(413, "one append has at most " +
                                   std::to_string(GrowingFile::kMostBytes) + " bytes"));
  }
  return std::make_unique<Text>(*this, request, asked->file, std::move(body.decoder), id);
}

std::unique_ptr<BodySink> Appends::seal(const RequestHead& request, const ClusterPath& path) {
  if (Tables::names_hdf5(path)) return tables_.seal(request, path);
  return std::make_unique<Seal>(*this, request, path);
}

std::unique_ptr<BodySink> Appends::claim(const RequestHead& request, const ClusterPath& path) {
  const std::string id(request.find("Skein-Node").value_or(""));
  if (!is_uuid(id)) return answer(refusal(400, "Skein-Node must be a node id"));
  return std::make_unique<DeferredAnswer>([this, id, path] {
    const auto owner = owners_.claimed_by(id, path);
    if (!owner) return Reply();
    Reply reply = refusal(409, "/" + path.text() + " is owned by node " + *owner);
    reply.add_field("Skein-Owner", *owner);
    return reply;
  });
}

}  // namespace skein
