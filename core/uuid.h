// Random identifiers, RFC 9562 version 4, in lower-case text form.
#pragma once

#include <string>
#include <string_view>

namespace skein {

std::string make_uuid();
bool is_uuid(std::string_view text);

}  // namespace skein
