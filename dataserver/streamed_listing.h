// The answer to a GET of a directory by a client that takes the listing while the directory is
// scanned (docs/wire.md, "Listings in pieces"). One thread at a time.
#pragma once

#include <memory>

#include "core/clock.h"
#include "core/http_head.h"
#include "core/path.h"
#include "dataserver/body_sink.h"
#include "dataserver/directory_index.h"

namespace skein {

// It asks for that, and for nothing that a listing in pieces cannot be: packed, or a page.
bool wants_pieces(const RequestHead& request);

class StreamedListing final : public BodySink {
 public:
  // How often the client hears that the server is at work.
  static constexpr std::chrono::milliseconds kTellEvery{500};

  StreamedListing(DirectoryIndex& index, ClusterPath path, std::shared_ptr<const RequestHead> head)
      : index_(index), path_(std::move(path)), head_(std::move(head)) {}

  void take(std::span<const char>) override {}
  // Without pieces.
  Reply finish() override;
  Reply finish_into(Outlet& outlet) override;

 private:
  DirectoryIndex& index_;
  const ClusterPath path_;
  const std::shared_ptr<const RequestHead> head_;
};

}  // namespace skein
