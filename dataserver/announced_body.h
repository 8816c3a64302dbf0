// What a request says beforehand of the body that it sends: framing and coding (docs/wire.md, "PUT").
#pragma once

#include <memory>
#include <optional>

#include "core/http_head.h"
#include "dataserver/content_coding.h"
#include "dataserver/reply.h"

namespace skein {

struct AnnouncedBody {
  std::unique_ptr<Decoder> decoder;  // null: the bytes come as they are
  std::optional<Reply> refusal;      // 411: no length and not chunked; 415: a coding that is not known
};
AnnouncedBody announced_body(const RequestHead& request);

}  // namespace skein
