// A directory's names with their entries, sorted by name, and the rule that merges the listings of
// several nodes into one (docs/wire.md, "Client merge").
//
// Names carry no trailing slash; the directory bit tells. A name may stand twice, as a file and as
// a directory, when two nodes disagree; the file comes first, find() prefers the directory.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/entry.h"
#include "core/error.h"

namespace skein {

struct NamedEntry {
  std::string name;
  Entry entry;
  bool operator==(const NamedEntry&) const = default;
};

class Listing {
 public:
  Listing() = default;
  // Sorts; of equal (name, is_directory) the last given wins.
  explicit Listing(std::vector<NamedEntry> entries);

  const std::vector<NamedEntry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  // It is empty then.
  std::vector<NamedEntry> take_entries() { return std::exchange(entries_, {}); }
  const Entry* find(std::string_view name) const;

  bool operator==(const Listing&) const = default;

 private:
  std::vector<NamedEntry> entries_;
};

// type = OR over the listings; size = that of the last listing that has the name, except for
// directories, where sizes add up. Pure; the order of `shares` matters only for file sizes, and of
// those not at all while files are write-once.
Listing merge(std::span<const Listing* const> shares);

// The JSON of docs/wire.md: {"name":[type,size],"dir/":[1,n]}. A byte that is no UTF-8 travels as the
// escape \udc80 to \udcff, as Python's "surrogateescape" (PEP 383) and so PYME's server write it.
std::string to_json(const Listing& listing);
// One member of that object, without comma.
void append_json(std::string& out, std::string_view name, const Entry& entry);

// Reads any JSON object of that shape, in any order, with or without white space; keys that are no
// file name ("", "..", with '/' inside) are refused. Errors: bad_message.
Result<Listing> parse_listing_json(std::string_view json);

// The same piece by piece, as it comes. One thread at a time.
class ListingReader {
 public:
  // Errors: bad_message; nothing more can be read then.
  Result<void> take(std::string_view piece);
  // Those read since the last call, in the order of the text.
  std::vector<NamedEntry> take_entries() { return std::exchange(entries_, {}); }
  // The object's end has come.
  bool complete() const { return next_ == Next::kEnd; }

 private:
  enum class Next { kBegin, kFirstOrEnd, kMember, kCommaOrEnd, kEnd };

  Next next_ = Next::kBegin;
  std::string rest_;  // begins a member that is not all there
  std::vector<NamedEntry> entries_;
};

}  // namespace skein
