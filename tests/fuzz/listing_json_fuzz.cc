// Fuzz target: listing JSON, which comes from other nodes. What parses must be writable, and be read
// back equal; cut in two, it must be read as it is whole.
#include <cstdlib>

#include "core/listing.h"

namespace {

void read_in_two(std::string_view json, const skein::Result<skein::Listing>& whole) {
  const std::size_t cut = json.empty() ? 0 : static_cast<unsigned char>(json.back()) % json.size();
  skein::ListingReader reader;
  const bool read = reader.take(json.substr(0, cut)).ok() && reader.take(json.substr(cut)).ok() &&
                    reader.complete();
  if (read != whole.ok()) std::abort();
  if (read && !(skein::Listing(reader.take_entries()) == *whole)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto listing = skein::parse_listing_json(json);
  read_in_two(json, listing);
  if (!listing) return 0;
  const auto again = skein::parse_listing_json(skein::to_json(*listing));
  if (!again || !(*again == *listing)) std::abort();
  return 0;
}
