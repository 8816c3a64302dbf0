#include "streamer/placing.h"

#include <cassert>

namespace skein {
namespace {

constexpr std::uint64_t kFnvStart = 14695981039346656037ULL;

// FNV-1a, and the finisher of SplitMix64, because FNV alone leaves the high bits of short texts
// alike. Written out, because std::hash may differ from one program to the next.
std::uint64_t hash_on(std::uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

std::uint64_t finish_hash(std::uint64_t hash) {
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
  return hash ^ (hash >> 31);
}

}  // namespace

PlaceFunction place_round_robin() { return place_in_chunks(1); }

PlaceFunction place_in_chunks(std::uint64_t files_per_chunk) {
  assert(files_per_chunk > 0);
  return [files_per_chunk](const FileToPlace& file, const NodeList& nodes) {
    if (!file.key.empty()) return place_by_key(file.key, nodes);
    return static_cast<std::size_t>(file.index / files_per_chunk % nodes.size());
  };
}

std::size_t place_by_key(std::string_view key, const NodeList& nodes) {
  assert(!nodes.empty());
  std::size_t best = 0;
  std::uint64_t most = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::uint64_t weight = finish_hash(hash_on(hash_on(kFnvStart, nodes[i].key()), key));
    if (i == 0 || weight > most) {
      most = weight;
      best = i;
    }
  }
  return best;
}

}  // namespace skein
