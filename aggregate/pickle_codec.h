// Texts as pickles spell them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace skein {

// UTF-8 of code points below 256 to those bytes; nullopt for any other text.
std::optional<std::string> latin1_of_utf8(std::string_view text);

// "raw-unicode-escape" of protocol 0 to UTF-8: Latin-1 bytes, \uXXXX and \UXXXXXXXX.
std::string utf8_of_raw_unicode(std::string_view text);

// And back: backslash, line ends, NUL and all above ASCII as \u or \U.
void append_raw_unicode(std::string& out, std::string_view utf8);

}  // namespace skein
