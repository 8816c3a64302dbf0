// The pages of a TIFF file as frames: grey values of 8 or 16 bits or 32-bit floats, all of one size,
// in strips. libtiff reads them, whatever their byte order and compression.
#pragma once

#include <filesystem>
#include <memory>

#include "tools/frame_source.h"

namespace skein {

class TiffStack : public FrameSource {
 public:
  // Errors: no_such_file_or_directory and others of open(2); bad_message (no TIFF), not_supported
  // (colours, tiles, or another pixel type).
  static Result<std::unique_ptr<TiffStack>> open(const std::filesystem::path& file);
  ~TiffStack() override;

  FrameView shape() const override { return shape_; }
  std::optional<std::uint64_t> count() const override { return count_; }
  // Errors: bad_message (damaged), not_supported (a page of another size or type than the first).
  Result<Frame> frame(std::uint64_t index) override;

 private:
  class Library;

  TiffStack(std::unique_ptr<Library> library, FrameView shape, std::uint64_t count);

  const std::unique_ptr<Library> library_;
  const FrameView shape_;
  const std::uint64_t count_;
  std::uint64_t page_ = 0;  // the library's current one
};

}  // namespace skein
