#include "dataserver/directory_reply.h"

#include "core/listing.h"
#include "dataserver/content_coding_reply.h"
#include "dataserver/directory_page.h"
#include "dataserver/field_weights.h"
#include "dataserver/get_file.h"

namespace skein {
namespace {

// The bytes of each form have an ETag of their own (RFC 9110, 8.8.3).
std::string etag_of_form(const std::string& etag, bool page, Coding coding) {
  std::string form = etag.substr(0, etag.size() - 1);
  if (page) form += "-page";
  if (coding != Coding::kNone) form.append("-").append(coding_name(coding));
  return form + '"';
}

}  // namespace

bool wants_page(const RequestHead& request) {
  const auto accepted = request.find("Accept");
  if (!accepted) return false;
  const int page = weight_of(*accepted, "text/html").value_or(0);
  const auto json = weight_of(*accepted, "application/json");
  const auto any_application = weight_of(*accepted, "application/*");
  const int other =
      json.value_or(any_application.value_or(weight_of(*accepted, "*/*").value_or(0)));
  return page > other;
}

Reply directory_head(const std::string& etag) {
  Reply reply;
  reply.add_field("ETag", etag);
  // Whoever keeps it has to ask again: directories change.
  reply.add_field("Cache-Control", "no-cache");
  reply.add_field("Vary", "Accept, Accept-Encoding");
  return reply;
}

Reply directory_reply(const DirectoryIndex::View& view, const ClusterPath& path,
                      const RequestHead& request) {
  const bool page = wants_page(request);
  const Coding coding =
      view.json->size() < kMinPackedBytes ? Coding::kNone : choose_coding(request);
  const std::string etag = etag_of_form(view.etag, page, coding);
  Reply reply = directory_head(etag);
  if (client_has(request, etag)) {
    reply.status = 304;
    reply.bodiless = true;
    return reply;
  }
  std::shared_ptr<const std::string> body = view.json;
  if (page) {
    const auto listing = parse_listing_json(*view.json);
    if (!listing) return refusal_of(listing.error());
    body = std::make_shared<const std::string>(directory_page(path, *listing));
    reply.add_field("Content-Type", "text/html; charset=utf-8");
    reply.add_field("Content-Security-Policy", kPagePolicy);
  } else {
    reply.add_field("Content-Type", kListingType);
  }
  if (coding != Coding::kNone) {
    auto packed = pack(*body, coding);
    if (!packed) return refusal_of(packed.error());
    body = std::make_shared<const std::string>(std::move(*packed));
    reply.add_field("Content-Encoding", coding_name(coding));
  }
  reply.shared = std::move(body);
  return reply;
}

}  // namespace skein
