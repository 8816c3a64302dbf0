// A listing that is handed on while the directory is scanned, to a client that asked for that.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "dataserver/directory_scan.h"

namespace skein {

// Scans of fewer names are over before a piece of them would be worth its way.
inline constexpr std::size_t kLeastFollowed = 4096;

// Who takes it. Called by the thread that asked for the listing.
class ListingFollower {
 public:
  virtual ~ListingFollower() = default;
  // True: he has the listing of that ETag, and is to be told only if it is another one.
  virtual bool has(const std::string& etag) const = 0;
  // The disk is being asked, by this thread or another. Called often.
  virtual void going_on() = 0;
  // The listing follows in pieces, entries in byte order of their names. The ETag holds when the
  // scan ends without an error.
  virtual void begin(const std::string& etag) = 0;
  // Members of the listing's JSON object with commas between them, and in front of all but the
  // first of the listing.
  virtual void piece(std::string_view members) = 0;
};

// Gives a follower what a scan finds.
class FollowedScan final : public ScanWatch {
 public:
  // `etag`: of the listing that is being made; `known`: of the one before, "" = there is none.
  FollowedScan(ListingFollower& follower, std::string etag, const std::string& known)
      : follower_(follower),
        etag_(std::move(etag)),
        silent_(!known.empty() && follower.has(known)) {}

  void going_on() override { follower_.going_on(); }
  bool counted(std::size_t names) override;
  void found(std::span<const NamedEntry> entries) override;

  bool begun() const { return begun_; }

 private:
  ListingFollower& follower_;
  const std::string etag_;
  const bool silent_;
  bool begun_ = false;
  bool any_ = false;
};

}  // namespace skein
