#include "dataserver/streamed_listing.h"

#include "dataserver/content_coding.h"
#include "dataserver/content_coding_reply.h"
#include "dataserver/directory_reply.h"
#include "dataserver/get_file.h"

namespace skein {
namespace {

// Puts the pieces of a listing into the frame of one reply.
class PiecesToOutlet final : public ListingFollower {
 public:
  PiecesToOutlet(Outlet& outlet, const RequestHead& request)
      : outlet_(outlet), request_(request) {}

  bool has(const std::string& etag) const override { return client_has(request_, etag); }
  void going_on() override {
    if (!next_word_.passed()) return;
    if (begun_) {
      send(" ");  // white space between two members
    } else {
      outlet_.still_working();
      tell_later();
    }
  }
  void begin(const std::string& etag) override {
    begun_ = true;
    Reply head = directory_head(etag);
    head.add_field("Content-Type", kListingType);
    head.add_field("Skein-Listing", "sorted");
    outlet_.begin(std::move(head));
    send("{");
  }
  void piece(std::string_view members) override { send(members); }
  void end() { send("}"); }
  bool begun() const { return begun_; }

 private:
  void send(std::string_view text) {
    outlet_.piece(text);
    tell_later();
  }
  void tell_later() { next_word_ = Deadline::after(StreamedListing::kTellEvery); }

  Outlet& outlet_;
  const RequestHead& request_;
  bool begun_ = false;
  Deadline next_word_ = Deadline::after(StreamedListing::kTellEvery);
};

}  // namespace

bool wants_pieces(const RequestHead& request) {
  return request.method() == "GET" && request.minor_version() == 1 &&
         request.find("Skein-Listing") == "stream" && !wants_page(request) &&
         choose_coding(request) == Coding::kNone;
}

Reply StreamedListing::finish() {
  const auto view = index_.listing(path_);
  return view ? directory_reply(*view, path_, *head_) : refusal_of(view.error());
}

Reply StreamedListing::finish_into(Outlet& outlet) {
  PiecesToOutlet pieces(outlet, *head_);
  const auto view = index_.listing(path_, &pieces);
  if (!pieces.begun()) {
    return view ? directory_reply(*view, path_, *head_) : refusal_of(view.error());
  }
  // Only the missing end tells the client that what it has is not all.
  Reply rest = view ? Reply() : refusal_of(view.error());
  rest.in_pieces = view ? Reply::Pieces::kWhole : Reply::Pieces::kCut;
  if (view) pieces.end();
  return rest;
}

}  // namespace skein
