// The body of a PUT on its way into the store: decoded if it came coded, written to a stage, and
// at its end given to `publish`.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "dataserver/body_sink.h"
#include "dataserver/content_coding.h"
#include "dataserver/staged_file.h"

namespace skein {

class PutBody final : public BodySink {
 public:
  using Publish = std::function<Result<void>(StagedFile&)>;

  // `decoder` may be null.
  PutBody(StagedFile stage, std::unique_ptr<Decoder> decoder, Publish publish);

  void take(std::span<const char> piece) override;
  Reply finish() override;
  bool publishes() const override { return !failure_; }

 private:
  // Empty once a failure was met, so that a full disk gets its space back while the rest is read.
  std::optional<StagedFile> stage_;
  std::unique_ptr<Decoder> decoder_;
  const Publish publish_;
  std::optional<Error> failure_;
};

}  // namespace skein
