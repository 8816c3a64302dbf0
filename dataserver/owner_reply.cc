#include "dataserver/owner_reply.h"

namespace skein {

Reply reply_elsewhere(const Owners::Verdict& verdict, const std::string& target, bool can_follow) {
  using Kind = Owners::Verdict::Kind;
  if (verdict.kind != Kind::kElsewhere) {
    Reply reply = refusal(503, verdict.why);
    if (verdict.kind == Kind::kUncertain) reply.add_field("Retry-After", "1");
    return reply;
  }
  const std::string url = "http://" + verdict.owner.address.text() + target;
  Reply reply = refusal(can_follow ? 307 : 409, "the file grows on " + verdict.owner.label());
  reply.add_field("Location", url);
  reply.add_field("Skein-Owner", verdict.owner.key());
  return reply;
}

}  // namespace skein
