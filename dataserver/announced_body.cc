#include "dataserver/announced_body.h"

namespace skein {

AnnouncedBody announced_body(const RequestHead& request) {
  if (request.framing().kind == BodyFraming::Kind::kNone) {
    return {nullptr, refusal(411, std::string(request.method()) +
                                      " needs a Content-Length or a chunked body")};
  }
  const std::string_view coding = request.find("Content-Encoding").value_or("identity");
  auto decoder = make_decoder(coding);
  if (decoder || coding.empty() || coding == "identity") return {std::move(decoder), std::nullopt};
  Reply reply = refusal(415, "Content-Encoding must be gzip or zstd");
  reply.add_field("Accept-Encoding", "gzip, zstd");
  return {nullptr, std::move(reply)};
}

}  // namespace skein
