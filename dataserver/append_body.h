// The body of an append on its way to a growing file: kept in memory, or in a stage when it is
// large, until it has come whole. Not a byte of it is in the file before that.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "aggregate/growing_file.h"
#include "dataserver/body_sink.h"
#include "dataserver/content_coding.h"
#include "dataserver/file_store.h"
#include "dataserver/memory_budget.h"

namespace skein {

class AppendBody final : public BodySink {
 public:
  using Append = std::function<Reply(const AppendBytes& body)>;

  // Larger bodies wait in a stage; so do all when `budget` is used up.
  static constexpr std::size_t kInMemoryBytes = 256 * 1024;

  // `decoder` may be null; `store` and `budget` are borrowed.
  AppendBody(FileStore& store, MemoryBudget& budget, std::unique_ptr<Decoder> decoder,
             Append append);

  void take(std::span<const char> piece) override;
  Reply finish() override;

 private:
  Result<void> keep(std::span<const char> plain);

  FileStore& store_;
  MemoryBudget& budget_;
  const std::unique_ptr<Decoder> decoder_;
  const Append append_;
  std::string memory_;
  MemoryBudget::Share share_;        // for memory_, once a piece is kept
  std::optional<StagedFile> stage_;  // then memory_ is empty
  std::uint64_t size_bytes_ = 0;
  std::optional<Error> failure_;
};

}  // namespace skein
