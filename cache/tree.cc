#include "cache/tree.h"

#include <atomic>
#include <ctime>

#include "cache/listing_store.h"
#include "cache/tree_record.h"
#include "cache/tree_store.h"
#include "core/path.h"

namespace skein {
namespace {

using Transaction = TreeStore::Transaction;

constexpr std::uint64_t kMostBytes = TableFile::kMapBytes / 2;
constexpr std::int64_t kNumbersSince_s = 1577836800;  // 2020-01-01

// The first number of a new tree: greater than any a former tree gave, if that one gave less than
// 16 million a second. 1e8 seconds are 51 bits.
Inode first_number(std::int64_t now_s) {
  const std::int64_t since = now_s > kNumbersSince_s ? now_s - kNumbersSince_s : 0;
  return static_cast<Inode>(since + 1) << 24;
}

Result<void> check_name(std::string_view name) {
  if (name.empty()) return Error{std::errc::invalid_argument, "a name is empty"};
  if (name.size() > kMaxNameBytes) {
    return Error{std::errc::filename_too_long, "name of " + std::to_string(name.size()) + " bytes"};
  }
  return {};
}

Error unknown(Inode inode) {
  return {std::errc::no_such_file_or_directory, "inode " + std::to_string(inode) + " is unknown"};
}

class LmdbTree : public Tree {
 public:
  explicit LmdbTree(const Options& options) : options_(options) {
    options_.max_bytes = std::min(options_.max_bytes, kMostBytes);
  }

  Result<void> open() {
    TreeStore::Options options;
    options.folder = tree_folder(options_.folder, options_.cluster);
    options.max_bytes = options_.max_bytes;
    options.schema = "skein tree 1";
    options.begin = [this](Transaction& t) {
      const Inode first = std::max(first_number(now_s()), highest_.load() + 1);
      t.put(Table::kFacts, kNextInodeKey, encode_number(first));
      t.put(Table::kFacts, kFirstInodeKey, encode_number(first));
    };
    options.carry_over = [this](Transaction& from, Transaction& to) {
      return carry_over(from, to, options_.max_bytes / 4);
    };
    auto store = TreeStore::open(std::move(options));
    if (!store) return store.error();
    store_ = std::move(*store);
    return {};
  }

  std::optional<TreeEntry> lookup(Inode directory, std::string_view name) override {
    if (!check_name(name)) return std::nullopt;
    const std::string key = name_key(directory, name);
    std::optional<NameRecord> found;
    // A tree that cannot be read knows nothing; the nodes do.
    if (!store_->read([&](Transaction& t) { found = get_name(t, key); })) return std::nullopt;
    if (!found) return std::nullopt;
    return found->entry;
  }

  std::optional<Place> place(Inode inode) override {
    std::optional<Place> found;
    const auto look = [&](Transaction& t) {
      found.reset();
      const auto value = t.get(Table::kPlaces, number_key(inode));
      if (!value) return;
      found = decode_place(*value);
      if (!found) t.damaged();
    };
    if (!store_->read(look)) return std::nullopt;
    return found;
  }

  Result<TreeEntry> put(Inode directory, std::string_view name, const Entry& entry) override {
    if (auto checked = check_name(name); !checked) return checked.error();
    if (const auto known = lookup(directory, name); known && known->entry == entry) return *known;
    TreeEntry stored;
    auto written = store_->write([&](Transaction& t) {
      Numbers numbers(t, highest_);
      ListingStore listing(t, numbers, directory);
      if (!listing.directory_is_known()) return t.give_up(unknown(directory));
      stored = listing.put(name, entry, now_s());
      numbers.keep();
    });
    if (!written) return written.error();
    return stored;
  }

  Result<std::vector<std::optional<TreeEntry>>> put_all(
      std::span<const NewName> names) override {
    std::vector<std::optional<TreeEntry>> stored;
    auto written = store_->write([&](Transaction& t) {
      stored.clear();
      Numbers numbers(t, highest_);
      for (const NewName& name : names) {
        ListingStore listing(t, numbers, name.directory);
        const bool fits = check_name(name.name) && listing.directory_is_known();
        stored.push_back(fits ? std::optional(listing.put(name.name, name.entry, now_s()))
                              : std::nullopt);
      }
      numbers.keep();
    });
    if (!written) return written.error();
    return stored;
  }

  Result<void> remove(Inode directory, std::string_view name) override {
    if (!check_name(name)) return {};
    return store_->write([&](Transaction& t) {
      Numbers numbers(t, highest_);
      ListingStore(t, numbers, directory).remove(name);
    });
  }

  Result<void> store_listing(Inode directory, const Listing& merged,
                             const std::vector<StoredShare>& shares,
                             const StoreOptions& options) override {
    Progress progress;
    progress.version = options.expected_version;
    do {
      const Progress before = progress;
      auto written = store_->write(
          [&](Transaction& t) {
            progress = before;
            store_step(t, directory, merged, shares, options, progress);
          },
          before.first ? TreeStore::Bound::kLater : TreeStore::Bound::kNow);
      if (!written) return written;
    } while (progress.step.more);
    return {};
  }

  Result<void> add_listed(Inode directory, std::span<const NamedEntry> names) override {
    while (!names.empty()) {
      const auto step = names.first(std::min(names.size(), kMostChanges));
      // The store_listing() to come minds the file's bound.
      auto written = store_->write(
          [&](Transaction& t) {
            Numbers numbers(t, highest_);
            ListingStore listing(t, numbers, directory);
            if (!listing.directory_is_known()) return t.give_up(unknown(directory));
            listing.add_listed(step, now_s());
            numbers.keep();
          },
          TreeStore::Bound::kLater);
      if (!written) return written;
      names = names.subspan(step.size());
    }
    return {};
  }

  Result<std::vector<StoredShare>> shares(Inode directory) override {
    std::vector<StoredShare> found;
    auto done = store_->read([&](Transaction& t) { found = read_shares(t, directory); });
    if (!done) return done.error();
    return found;
  }

  Result<ShareHeads> share_heads(Inode directory) override {
    ShareHeads found;
    auto done = store_->read([&](Transaction& t) { found = read_share_heads(t, directory); });
    if (!done) return done.error();
    return found;
  }

  Result<std::vector<NamedTreeEntry>> names(Inode directory, std::string_view after,
                                            std::size_t most) override {
    std::vector<NamedTreeEntry> found;
    const std::string prefix = number_key(directory);
    const std::string from = name_key(directory, after.substr(0, kMaxNameBytes));
    auto done = store_->read([&](Transaction& t) {
      found.clear();
      if (most == 0) return;
      t.walk(Table::kNames, prefix, from, [&](std::string_view key, std::string_view value) {
        const std::string_view name = key.substr(prefix.size());
        if (name <= after) return true;
        const auto record = decode_name(value);
        if (!record) return t.damaged(), false;
        found.push_back({std::string(name), record->entry});
        return found.size() < most;
      });
    });
    if (!done) return done.error();
    return found;
  }

  std::uint64_t size_bytes() override { return store_->size_bytes(); }

 private:
  // How far store_listing() came, from transaction to transaction.
  struct Progress {
    ListingStore::Step step;
    bool kept_unlisted = false;
    std::optional<std::uint64_t> first;    // which tree this is
    std::optional<std::uint64_t> version;  // of the shares that are to be replaced
  };

  // Names are true one by one, so they may be stored in several transactions; the shares come with
  // the last one. Until then the old ETags stand, and an unfinished listing is asked for again.
  void store_step(Transaction& t, Inode directory, const Listing& merged,
                  const std::vector<StoredShare>& shares, const StoreOptions& options,
                  Progress& progress) {
    Numbers numbers(t, highest_);
    ListingStore listing(t, numbers, directory);
    if (!listing.directory_is_known()) return t.give_up(unknown(directory));
    const auto first = t.get(Table::kFacts, kFirstInodeKey);
    const auto tree = first ? decode_number(*first) : std::nullopt;
    if (!tree) return t.damaged();
    if (progress.first.value_or(*tree) != *tree ||
        progress.version.value_or(listing.version()) != listing.version()) {
      return t.give_up({std::errc::resource_unavailable_try_again,
                        "the listing was stored by somebody else meanwhile"});
    }
    progress.first = *tree;
    progress.version = listing.version();
    const std::int64_t now = now_s();
    const ListingStore::Times times{now, now - options.age.count()};
    progress.step = listing.replace_names(merged, options.complete, times, progress.step.through);
    progress.kept_unlisted |= progress.step.kept_unlisted;
    if (!progress.step.more) listing.replace_shares(shares, progress.kept_unlisted);
    numbers.keep();
  }

  std::int64_t now_s() const { return options_.now_s ? options_.now_s() : std::time(nullptr); }

  Options options_;
  std::atomic<Inode> highest_{0};  // given or seen by this process
  std::unique_ptr<TreeStore> store_;
};

}  // namespace

std::filesystem::path tree_folder(const std::filesystem::path& folder, const std::string& cluster) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string name;
  for (const char c : cluster) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || (c == '.' && !name.empty());
    if (plain) {
      name += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      name += '%';
      name += kHex[byte >> 4];
      name += kHex[byte & 15];
    }
  }
  // No cluster name is every visible node; no other name gives a lone '%'.
  return folder / (name.empty() ? "%" : name);
}

Result<std::unique_ptr<Tree>> Tree::open(const Options& options) {
  auto tree = std::make_unique<LmdbTree>(options);
  if (auto opened = tree->open(); !opened) return opened.error();
  return std::unique_ptr<Tree>(std::move(tree));
}

}  // namespace skein
