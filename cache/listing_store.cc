#include "cache/listing_store.h"

#include <algorithm>
#include <set>

#include "core/path.h"

namespace skein {
namespace {

using Transaction = TableFile::Transaction;

// A listing may be this much older than the moment when the nodes were asked: PYME's servers answer
// from a cache of one second, and clocks of whole seconds are compared.
constexpr std::int64_t kOwnWriteGrace_s = 5;
constexpr std::size_t kDirectoryKeyBytes = 8;

bool storable(std::string_view name) { return !name.empty() && name.size() <= kMaxNameBytes; }

// Listing::find()'s rule for a name that stands twice: the directory comes second and wins.
bool is_hidden(std::span<const NamedEntry> entries, std::size_t i) {
  return i + 1 < entries.size() && entries[i + 1].name == entries[i].name;
}

ShareIndex read_index(Transaction& t, Inode directory) {
  const auto value = t.get(Table::kShares, number_key(directory));
  if (!value) return {};
  auto index = decode_share_index(*value);
  if (!index) t.damaged();
  return index.value_or(ShareIndex{});
}

}  // namespace

Inode Numbers::take() {
  if (next_ == 0) {
    const auto value = t_.get(Table::kFacts, kNextInodeKey);
    const auto next = value ? decode_number(*value) : std::nullopt;
    if (!next || *next <= kRootInode) {
      t_.damaged();
      return 0;
    }
    next_ = *next;
  }
  return next_++;
}

void Numbers::keep() {
  if (next_ == 0 || !t_.ok()) return;
  t_.put(Table::kFacts, kNextInodeKey, encode_number(next_));
  if (highest_ < next_) highest_ = next_;
}

std::optional<NameRecord> get_name(Transaction& t, std::string_view key) {
  const auto value = t.get(Table::kNames, key);
  if (!value) return std::nullopt;
  auto record = decode_name(*value);
  if (!record) t.damaged();
  return record;
}

std::vector<StoredShare> read_shares(Transaction& t, Inode directory) {
  std::vector<StoredShare> shares;
  for (auto& [node_key, head] : read_index(t, directory).heads) {
    std::vector<NamedEntry> entries;
    const std::string prefix = piece_key(directory, head.slot);
    t.walk(Table::kShares, prefix, prefix, [&](std::string_view, std::string_view value) {
      if (!append_piece(value, entries)) return t.damaged(), false;
      return true;
    });
    shares.push_back({node_key, head.etag, Listing(std::move(entries))});
  }
  return shares;
}

ShareHeads read_share_heads(Transaction& t, Inode directory) {
  const ShareIndex index = read_index(t, directory);
  ShareHeads heads{index.version, {}};
  for (const auto& [node_key, head] : index.heads) heads.etags[node_key] = head.etag;
  return heads;
}

bool carry_over(Transaction& from, Transaction& to, std::uint64_t most_bytes) {
  std::uint64_t bytes = 0;
  from.walk(Table::kNames, {}, {}, [&](std::string_view key, std::string_view value) {
    const auto record = decode_name(value);
    if (!record || key.size() <= kDirectoryKeyBytes) return from.damaged(), false;
    if (!record->entry.entry.is_directory()) return true;
    bytes += 3 * key.size() + value.size() + 16;  // both tables, and what LMDB adds
    to.append(Table::kNames, key, value);
    const Tree::Place place{number_of(key), std::string(key.substr(kDirectoryKeyBytes))};
    to.put(Table::kPlaces, number_key(record->entry.inode), encode(place));
    return bytes <= most_bytes;
  });
  const auto next = from.get(Table::kFacts, kNextInodeKey);
  const auto was = next ? decode_number(*next) : std::nullopt;
  if (!was || bytes > most_bytes) return false;
  const auto begun = to.get(Table::kFacts, kNextInodeKey);
  const auto now = begun ? decode_number(*begun) : std::nullopt;
  if (!now || *now < *was) to.put(Table::kFacts, kNextInodeKey, encode_number(*was));
  return true;
}

bool ListingStore::directory_is_known() {
  return directory_ == kRootInode || t_.get(Table::kPlaces, number_key(directory_)).has_value();
}

std::uint64_t ListingStore::version() { return read_index(t_, directory_).version; }

TreeEntry ListingStore::put(std::string_view name, const Entry& entry, std::int64_t now_s) {
  const std::string key = name_key(directory_, name);
  auto record = get_name(t_, key);
  if (record && record->entry.entry.is_directory() != entry.is_directory()) {
    forget(*record);  // a number never changes from file to directory: kernels would not bear it
    record.reset();
  }
  if (!record) {
    record = NameRecord{{numbers_.take(), entry, now_s}, true};
    t_.append(Table::kPlaces, number_key(record->entry.inode),
              encode(Tree::Place{directory_, std::string(name)}));
  }
  record->entry.entry = entry;
  t_.put(Table::kNames, key, encode(*record));
  return record->entry;
}

void ListingStore::remove(std::string_view name) {
  const std::string key = name_key(directory_, name);
  const auto record = get_name(t_, key);
  if (!record) return;
  forget(*record);
  t_.erase(Table::kNames, key);
}

// Gives up the number of a name and, of a directory, everything below it.
void ListingStore::forget(const NameRecord& record) {
  t_.erase(Table::kPlaces, number_key(record.entry.inode));
  std::vector<Inode> directories;
  if (record.entry.entry.is_directory()) directories.push_back(record.entry.inode);
  while (!directories.empty() && t_.ok()) {
    const std::string prefix = number_key(directories.back());
    directories.pop_back();
    std::vector<Inode> gone;
    t_.walk(Table::kNames, prefix, prefix, [&](std::string_view, std::string_view value) {
      const auto below = decode_name(value);
      if (!below) return t_.damaged(), false;
      gone.push_back(below->entry.inode);
      if (below->entry.entry.is_directory()) directories.push_back(below->entry.inode);
      return true;
    });
    for (const Inode inode : gone) t_.erase(Table::kPlaces, number_key(inode));
    t_.erase_all(Table::kNames, prefix);
    t_.erase_all(Table::kShares, prefix);
  }
}

struct ListingStore::Changes {
  std::vector<const NamedEntry*> added;
  std::vector<std::pair<const NamedEntry*, NameRecord>> updated;
  std::vector<std::pair<std::string, NameRecord>> gone;
  Step step;

  bool full() const { return added.size() + updated.size() + gone.size() >= kMostChanges; }
};

// Walks what is stored and what is to be stored side by side; both are sorted by name.
ListingStore::Changes ListingStore::compare(const Listing& merged, bool complete,
                                            const Times& times, std::string_view after) {
  Changes changes;
  const std::vector<NamedEntry>& entries = merged.entries();
  const auto begin = std::upper_bound(
      entries.begin(), entries.end(), after,
      [](std::string_view name, const NamedEntry& entry) { return name < entry.name; });
  auto next = static_cast<std::size_t>(begin - entries.begin());
  const auto skip = [&] {
    while (next < entries.size() && (is_hidden(entries, next) || !storable(entries[next].name))) {
      ++next;
    }
  };
  // Takes new names in front of `limit` (all if null); false when enough is taken.
  const auto take_new = [&](const std::string_view* limit) {
    for (skip(); next < entries.size() && (!limit || entries[next].name < *limit); skip()) {
      if (changes.full()) return false;
      changes.step.through = entries[next].name;
      changes.added.push_back(&entries[next++]);
    }
    return !changes.full();
  };
  const std::string prefix = number_key(directory_);
  const std::string from = name_key(directory_, after);
  t_.walk(Table::kNames, prefix, from, [&](std::string_view key, std::string_view value) {
    const std::string_view name = key.substr(kDirectoryKeyBytes);
    if (name <= after) return true;
    const auto record = decode_name(value);
    if (!record) return t_.damaged(), false;
    if (!take_new(&name)) return changes.step.more = true, false;
    if (next == entries.size() || entries[next].name != name) {
      const bool young = record->entry.seen_s <= times.now_s &&
                         times.asked_s - record->entry.seen_s < kOwnWriteGrace_s;
      if (record->unconfirmed && (!complete || young)) {
        changes.step.kept_unlisted |= complete;
      } else {
        changes.gone.emplace_back(name, *record);
        changes.step.through = name;
      }
      return true;
    }
    const NamedEntry& listed = entries[next++];
    if (listed.entry.is_directory() != record->entry.entry.is_directory()) {
      changes.gone.emplace_back(name, *record);
      changes.added.push_back(&listed);
      changes.step.through = name;
    } else if (listed.entry != record->entry.entry || record->unconfirmed) {
      changes.updated.emplace_back(&listed, *record);
      changes.step.through = name;
    }
    return true;
  });
  if (!changes.step.more && !take_new(nullptr)) changes.step.more = true;
  return changes;
}

ListingStore::Step ListingStore::replace_names(const Listing& merged, bool complete,
                                               const Times& times, std::string_view after) {
  Changes changes = compare(merged, complete, times, after);
  for (const auto& [name, record] : changes.gone) {
    forget(record);
    t_.erase(Table::kNames, name_key(directory_, name));
  }
  for (const auto& [listed, record] : changes.updated) update(*listed, record);
  add(changes.added, times.now_s);
  return std::move(changes.step);
}

void ListingStore::update(const NamedEntry& listed, NameRecord record) {
  record.entry.entry = listed.entry;
  record.unconfirmed = false;
  t_.put(Table::kNames, name_key(directory_, listed.name), encode(record));
}

void ListingStore::add_listed(std::span<const NamedEntry> names, std::int64_t now_s) {
  std::vector<const NamedEntry*> added;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const NamedEntry& listed = names[i];
    if (is_hidden(names, i) || !storable(listed.name)) continue;
    const std::string key = name_key(directory_, listed.name);
    const auto record = get_name(t_, key);
    if (!record) {
      added.push_back(&listed);
    } else if (listed.entry.is_directory() != record->entry.entry.is_directory()) {
      forget(*record);
      t_.erase(Table::kNames, key);
      added.push_back(&listed);
    } else if (listed.entry != record->entry.entry || record->unconfirmed) {
      update(listed, *record);
    }
  }
  add(added, now_s);
}

void ListingStore::add(const std::vector<const NamedEntry*>& names, std::int64_t now_s) {
  if (names.empty()) return;
  std::string key = name_key(directory_, names.front()->name);
  const bool at_end = t_.behind_all(Table::kNames, key);
  for (const NamedEntry* name : names) {
    const NameRecord record{{numbers_.take(), name->entry, now_s}, false};
    if (!t_.ok()) return;
    key = name_key(directory_, name->name);
    if (at_end) {
      t_.append(Table::kNames, key, encode(record));
    } else {
      t_.put(Table::kNames, key, encode(record));
    }
    t_.append(Table::kPlaces, number_key(record.entry.inode),
              encode(Tree::Place{directory_, name->name}));
  }
}

void ListingStore::replace_shares(const std::vector<StoredShare>& shares, bool forget_etags) {
  const ShareIndex before = read_index(t_, directory_);
  std::set<std::uint16_t> used;
  std::set<std::string_view> keys;
  for (const StoredShare& share : shares) keys.insert(share.node_key);
  for (const auto& [node_key, head] : before.heads) {
    if (keys.contains(node_key)) {
      used.insert(head.slot);
    } else {
      t_.erase_all(Table::kShares, piece_key(directory_, head.slot));
    }
  }
  ShareIndex after;
  for (const StoredShare& share : shares) {
    const auto known = before.heads.find(share.node_key);
    std::uint16_t slot = 0;
    if (known != before.heads.end()) {
      slot = known->second.slot;
    } else {
      while (used.contains(slot)) ++slot;
      used.insert(slot);
    }
    after.heads[share.node_key] = {slot, forget_etags ? std::string() : share.etag};
    write_pieces(slot, share.listing);
  }
  after.version = numbers_.take();
  t_.put(Table::kShares, number_key(directory_), encode(after));
}

void ListingStore::write_pieces(std::uint16_t slot, const Listing& listing) {
  const std::vector<ListingPiece> pieces = cut_listing(listing);
  const std::string prefix = piece_key(directory_, slot);
  std::vector<const ListingPiece*> changed;
  std::vector<std::string> gone;
  std::size_t next = 0;
  t_.walk(Table::kShares, prefix, prefix, [&](std::string_view key, std::string_view value) {
    const std::string_view first_name = key.substr(prefix.size());
    while (next < pieces.size() && pieces[next].first_name < first_name) {
      changed.push_back(&pieces[next++]);
    }
    if (next == pieces.size() || pieces[next].first_name != first_name) {
      gone.emplace_back(key);
    } else {
      if (pieces[next].bytes != value) changed.push_back(&pieces[next]);
      ++next;
    }
    return true;
  });
  for (; next < pieces.size(); ++next) changed.push_back(&pieces[next]);
  for (const std::string& key : gone) t_.erase(Table::kShares, key);
  for (const ListingPiece* piece : changed) {
    t_.put(Table::kShares, piece_key(directory_, slot, piece->first_name), piece->bytes);
  }
}

}  // namespace skein
