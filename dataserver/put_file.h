// The body of a PUT on its way into the store (received_file.h), at its end given to `publish`.
#pragma once

#include <functional>
#include <optional>

#include "dataserver/body_sink.h"
#include "dataserver/received_file.h"

namespace skein {

class PutBody final : public BodySink {
 public:
  using Publish = std::function<Result<void>(StagedFile&)>;

  PutBody(ReceivedFile file, Publish publish);

  void take(std::span<const char> piece) override;
  Reply finish() override;
  bool publishes() const override { return !failure_; }

 private:
  // Empty once a failure was met, so that a full disk gets its space back while the rest is read.
  std::optional<ReceivedFile> file_;
  const Publish publish_;
  std::optional<Error> failure_;
};

}  // namespace skein
