// Fuzz target: listing JSON, which comes from other nodes. What parses must be writable, and be read
// back equal.
#include <cstdlib>

#include "core/listing.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto listing = skein::parse_listing_json(json);
  if (!listing) return 0;
  const auto again = skein::parse_listing_json(skein::to_json(*listing));
  if (!again || !(*again == *listing)) std::abort();
  return 0;
}
