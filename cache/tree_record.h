// How the tree's keys and values are laid out as bytes. Numbers in keys are big-endian, so that the
// order of keys is the order of numbers; in values they are varints (LEB128, 7 bits a byte, low
// bits first), signed ones zigzag-coded. Measured on 100,000 names "frame00042.pzf": 17 bytes of
// value per name, 9 bytes per name of a share.
//
//   facts   "next"               -> varint: the next inode to be given
//   names   u64 directory, name  -> NameRecord: varint inode, varint type << 1 | unconfirmed,
//                                   zigzag size, zigzag seen_s
//   places  u64 inode            -> u64 parent, name
//   shares  u64 directory        -> ShareIndex: varint version, then per node varint slot,
//                                   varint length and node key, varint length and ETag
//           u64 directory, u16 slot, first name of the piece
//                                -> a piece of that node's listing (see cut_listing)
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/tree.h"
#include "core/listing.h"

namespace skein {

// What is stored under a name. `unconfirmed`: put by a writer here, not yet seen in a listing.
struct NameRecord {
  TreeEntry entry;
  bool unconfirmed = false;
};

std::string number_key(std::uint64_t number);  // 8 bytes
// Precondition: key.size() >= 8.
std::uint64_t number_of(std::string_view key);
std::string name_key(Inode directory, std::string_view name);
std::string piece_key(Inode directory, std::uint16_t slot, std::string_view first_name = {});

std::string encode(const NameRecord& record);
std::string encode(const Tree::Place& place);
std::string encode_number(std::uint64_t number);

// The shares of a directory without their listings.
struct ShareIndex {
  struct Head {
    std::uint16_t slot = 0;
    std::string etag;
    bool operator==(const Head&) const = default;
  };
  std::uint64_t version = 0;          // a number from the same counter as inodes: never twice
  std::map<std::string, Head> heads;  // by node key
};
std::string encode(const ShareIndex& index);

// nullopt: these bytes were not written by encode().
std::optional<NameRecord> decode_name(std::string_view value);
std::optional<Tree::Place> decode_place(std::string_view value);
std::optional<std::uint64_t> decode_number(std::string_view value);
std::optional<ShareIndex> decode_share_index(std::string_view value);

// A listing in pieces of about 128 names. Where a piece begins depends on the names alone, so that
// one name more or less changes one piece, and a directory of 100,000 names is not written anew.
// Piece: per name, varint bytes shared with the name before, varint length of the rest, the rest,
// varint type, zigzag size. Names that no filesystem could hold are left out.
struct ListingPiece {
  std::string first_name;
  std::string bytes;
};
std::vector<ListingPiece> cut_listing(const Listing& listing);
// Appends a piece's entries; false if the bytes are none of cut_listing().
bool append_piece(std::string_view bytes, std::vector<NamedEntry>& entries);

}  // namespace skein
