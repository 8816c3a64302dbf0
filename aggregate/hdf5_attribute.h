// Attributes as PyTables writes them.
#pragma once

#include <string>
#include <string_view>

#include "aggregate/hdf5_handle.h"

namespace skein {

// Attributes lie in the object's header, which holds no more.
inline constexpr std::size_t kMaxAttributeBytes = 60'000;

// A fixed string; an empty one has no value at all. ASCII is for pickles, which PyTables knows by it.
enum class TextSet { kUtf8, kAscii };
Result<void> set_text_attribute(hid_t object, const std::string& name, std::string_view text,
                                TextSet set = TextSet::kUtf8);

// Of one of the library's own types, `value` as that type in memory; an old one is replaced.
Result<void> set_attribute(hid_t object, const std::string& name, hid_t file_type,
                           hid_t memory_type, const void* value);

// CLASS, TITLE and VERSION, by which PyTables knows what it has before it.
Result<void> mark_pytables(hid_t object, std::string_view of_class, std::string_view version);

}  // namespace skein
