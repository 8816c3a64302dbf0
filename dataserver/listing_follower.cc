#include "dataserver/listing_follower.h"

namespace skein {

bool FollowedScan::counted(std::size_t names) {
  begun_ = !silent_ && names >= kLeastFollowed;
  if (begun_) follower_.begin(etag_);
  return begun_;
}

void FollowedScan::found(std::span<const NamedEntry> entries) {
  if (entries.empty()) return;
  std::string members;
  members.reserve(entries.size() * 32);
  for (const NamedEntry& named : entries) {
    if (any_) members += ',';
    any_ = true;
    append_json(members, named.name, named.entry);
  }
  follower_.piece(members);
}

}  // namespace skein
