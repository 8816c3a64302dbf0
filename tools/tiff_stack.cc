#include "tools/tiff_stack.h"

#include <fcntl.h>
#include <tiffio.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace skein {

class TiffStack::Library {
 public:
  explicit Library(TIFF* tiff) : tiff_(tiff) {}
  ~Library() { TIFFClose(tiff_); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  TIFF* get() { return tiff_; }

 private:
  TIFF* const tiff_;
};

namespace {

std::uint16_t field(TIFF* tiff, std::uint32_t tag, std::uint16_t standard) {
  std::uint16_t value = standard;
  TIFFGetFieldDefaulted(tiff, tag, &value);
  return value;
}

// Of the current page.
Result<FrameView> shape_of(TIFF* tiff) {
  const auto refuse = [](const char* why) { return Error{std::errc::not_supported, why}; };
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
  if (width == 0 || height == 0) return refuse("a page without pixels");
  if (TIFFIsTiled(tiff)) return refuse("a tiled TIFF; only strips are read");
  if (field(tiff, TIFFTAG_SAMPLESPERPIXEL, 1) != 1) return refuse("a colour TIFF; only grey is read");
  const std::uint16_t bits = field(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  const std::uint16_t format = field(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  if (bits == 8 && format == SAMPLEFORMAT_UINT) {
    return camera_frame(nullptr, PixelType::kUint8, width, height);
  }
  if (bits == 16 && format == SAMPLEFORMAT_UINT) {
    return camera_frame(nullptr, PixelType::kUint16, width, height);
  }
  if (bits == 32 && format == SAMPLEFORMAT_IEEEFP) {
    return camera_frame(nullptr, PixelType::kFloat32, width, height);
  }
  return refuse("pixels that are not uint8, uint16 or float32");
}

}  // namespace

TiffStack::TiffStack(std::unique_ptr<Library> library, FrameView shape, std::uint64_t count)
    : library_(std::move(library)), shape_(shape), count_(count) {}

TiffStack::~TiffStack() = default;

Result<std::unique_ptr<TiffStack>> TiffStack::open(const std::filesystem::path& file) {
  // The library would print by itself; its errors come back as results here.
  TIFFSetWarningHandler(nullptr);
  TIFFSetErrorHandler(nullptr);
  if (::access(file.c_str(), R_OK) != 0) return errno_error(errno, file.string());
  TIFF* const tiff = TIFFOpen(file.c_str(), "r");
  if (tiff == nullptr) return Error{std::errc::bad_message, file.string() + ": not a TIFF file"};
  auto library = std::make_unique<Library>(tiff);
  const auto shape = shape_of(tiff);
  if (!shape) return Error{shape.error().code, file.string() + ": " + shape.error().what};
  const auto pages = static_cast<std::uint64_t>(TIFFNumberOfDirectories(tiff));
  if (TIFFSetDirectory(tiff, 0) == 0) {
    return Error{std::errc::bad_message, file.string() + ": damaged"};
  }
  return std::unique_ptr<TiffStack>(new TiffStack(std::move(library), *shape, pages));
}

Result<FrameSource::Frame> TiffStack::frame(std::uint64_t index) {
  const auto damaged = [&](const char* why) {
    return Error{std::errc::bad_message, "page " + std::to_string(index) + ": " + why};
  };
  TIFF* const tiff = library_->get();
  if (index >= count_) return damaged("there is none");
  if (index != page_) {
    // Reading on is quick; going to a page by its number walks from the first one.
    const int found = index == page_ + 1 ? TIFFReadDirectory(tiff)
                                         : TIFFSetDirectory(tiff, static_cast<tdir_t>(index));
    if (found == 0) return damaged("damaged");
    page_ = index;
  }
  const auto shape = shape_of(tiff);
  if (!shape) return Error{shape.error().code, "page " + std::to_string(index) + ": " + shape.error().what};
  if (shape->width != shape_.width || shape->height != shape_.height || shape->type != shape_.type) {
    return Error{std::errc::not_supported,
                 "page " + std::to_string(index) + ": not of the first page's size and type"};
  }
  const std::size_t row_bytes = std::size_t{shape_.width} * pixel_bytes(shape_.type);
  if (static_cast<std::size_t>(TIFFScanlineSize(tiff)) != row_bytes) return damaged("odd rows");
  const auto pixels = std::make_shared<std::vector<std::uint8_t>>(shape_.size_bytes());
  for (std::uint32_t row = 0; row < shape_.height; ++row) {
    if (TIFFReadScanline(tiff, pixels->data() + row * row_bytes, row) < 0) return damaged("damaged");
  }
  FrameView view = shape_;
  view.first = pixels->data();
  view.timestamp = index;
  return Frame{view, pixels};
}

}  // namespace skein
