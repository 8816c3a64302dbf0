#include "aggregate/hdf5_series.h"

#include <cstring>

#include "aggregate/hdf5_attribute.h"
#include "aggregate/hdf5_table.h"

namespace skein {
namespace {

constexpr const char* kData = "PZFImageData";
constexpr const char* kIndex = "PZFImageIndex";
// References of 16 bytes to the frames; a whole chunk is written at each commit.
constexpr hsize_t kChunkRows = 1024;

RowType index_type() {
  RowType type;
  RowField field;
  field.kind = RowField::Kind::kInt;
  field.item_bytes = 4;
  field.name = "FrameNum";
  add_field(type, field);
  field.name = "Position";
  add_field(type, field);
  return type;
}

Hdf5Handle bytes_type() { return Hdf5Handle(H5Tvlen_create(H5T_STD_U8LE)); }

}  // namespace

Result<Hdf5Series> Hdf5Series::open(hid_t file) {
  Hdf5Series series(file);
  const auto there = has_object(file, kData);
  if (!there) return there.error();
  if (!*there) return series;
  if (auto opened = series.open_data(); !opened) return opened.error();
  auto index = Hdf5Table::open(file, kIndex);
  if (!index) return index.error();
  if (!*index) {
    for (std::uint64_t i = 0; i < series.count_; ++i) series.rows_[static_cast<std::int32_t>(i)] = i;
    return series;
  }
  if (const auto why = mismatch((*index)->type(), index_type())) {
    return Error{std::errc::not_supported, std::string(kIndex) + ": " + *why};
  }
  const auto rows = (*index)->read(0, (*index)->count());
  if (!rows) return rows.error();
  for (std::size_t i = 0; i < rows->count; ++i) {
    const char* row = rows->bytes.data() + i * rows->type.size_bytes;
    std::int32_t number = 0, position = 0;
    std::memcpy(&number, row + rows->type.fields[0].offset, 4);
    std::memcpy(&position, row + rows->type.fields[1].offset, 4);
    if (rows->type.fields[0].name != "FrameNum") std::swap(number, position);
    // The first one counts: a name is written once.
    if (position >= 0 && static_cast<std::uint64_t>(position) < series.count_) {
      series.rows_.emplace(number, position);
    }
  }
  return series;
}

Result<void> Hdf5Series::open_data() {
  auto data = open_inner_dataset(file_, kData);
  if (!data) return data.error();
  const Hdf5Handle type(H5Dget_type(data->get())), space(H5Dget_space(data->get()));
  const Hdf5Handle element(H5Tget_super(type.get()));
  hsize_t count = 0;
  if (H5Tget_class(type.get()) != H5T_VLEN || H5Tget_size(element.get()) != 1 ||
      H5Sget_simple_extent_ndims(space.get()) != 1 ||
      H5Sget_simple_extent_dims(space.get(), &count, nullptr) < 0) {
    return Error{std::errc::not_supported, std::string(kData) + ": no array of packed frames"};
  }
  data_ = std::move(*data);
  count_ = count;
  return {};
}

Result<void> Hdf5Series::make_data() {
  const hsize_t none = 0, unlimited = H5S_UNLIMITED;
  const Hdf5Handle space(H5Screate_simple(1, &none, &unlimited));
  const Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_chunk(list.get(), 1, &kChunkRows);
  data_ = Hdf5Handle(H5Dcreate2(file_, kData, bytes_type().get(), space.get(), H5P_DEFAULT,
                                list.get(), H5P_DEFAULT));
  if (!data_) return hdf5_error("make " + std::string(kData));
  if (auto marked = mark_pytables(data_.get(), "VLARRAY", "1.4"); !marked) return marked;
  // PyTables gives the rows out as bytes.
  return set_text_attribute(data_.get(), "PSEUDOATOM", "vlstring");
}

Result<void> Hdf5Series::add(std::int32_t number, std::string_view frame) {
  if (!data_) {
    if (auto made = make_data(); !made) return made;
  }
  const hsize_t extent = count_ + 1, start = count_, one = 1;
  if (H5Dset_extent(data_.get(), &extent) < 0) return hdf5_error(kData);
  const Hdf5Handle space(H5Dget_space(data_.get())), memory_space(H5Screate_simple(1, &one, nullptr));
  hvl_t value{frame.size(), const_cast<char*>(frame.data())};  // the library only reads it
  if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &one, nullptr) < 0 ||
      H5Dwrite(data_.get(), bytes_type().get(), memory_space.get(), space.get(), H5P_DEFAULT,
               &value) < 0) {
    return hdf5_error(kData);
  }
  auto index = Hdf5Table::open(file_, kIndex);
  if (!index) return index.error();
  if (!*index) {
    auto made = Hdf5Table::create(file_, kIndex, index_type());
    if (!made) return made.error();
    *index = std::move(*made);
  }
  Rows row{index_type(), 1, std::string(8, '\0')};
  const auto position = static_cast<std::int32_t>(count_);
  std::memcpy(row.bytes.data(), &number, 4);
  std::memcpy(row.bytes.data() + 4, &position, 4);
  if (auto added = (*index)->append(row); !added) return added;
  if (auto marked = (*index)->mark_count(); !marked) return marked;
  rows_[number] = count_;
  count_ = extent;
  return {};
}

Result<std::optional<std::string>> Hdf5Series::read(std::int32_t number) const {
  const auto found = rows_.find(number);
  if (found == rows_.end()) return std::optional<std::string>();
  const hsize_t start = found->second, one = 1;
  const Hdf5Handle space(H5Dget_space(data_.get())), memory_space(H5Screate_simple(1, &one, nullptr));
  hvl_t value{};
  if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &one, nullptr) < 0 ||
      H5Dread(data_.get(), bytes_type().get(), memory_space.get(), space.get(), H5P_DEFAULT,
              &value) < 0) {
    return hdf5_error(kData);
  }
  std::string frame(static_cast<const char*>(value.p), value.len);
  H5Dvlen_reclaim(bytes_type().get(), memory_space.get(), H5P_DEFAULT, &value);
  return std::optional(std::move(frame));
}

}  // namespace skein
