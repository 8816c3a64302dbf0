#include "aggregate/hdf5_requests.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "aggregate/hdf5_table.h"

namespace skein {
namespace {

static_assert(std::endian::native == std::endian::little);

struct Row {
  std::uint64_t number = 0;
  RequestId request{};
};
static_assert(sizeof(Row) == 24);

constexpr hsize_t kExtent[2] = {Hdf5Requests::kMost, sizeof(Row)};

std::string name() { return std::string(Hdf5Requests::kName); }

}  // namespace

Result<Hdf5Requests> Hdf5Requests::open(hid_t file) {
  Hdf5Requests requests(file);
  const auto there = has_object(file, name());
  if (!there) return there.error();
  if (*there) {
    if (auto got = requests.read(); !got) return got.error();
  }
  return requests;
}

Result<void> Hdf5Requests::read() {
  auto dataset = open_inner_dataset(file_, name());
  if (!dataset) return dataset.error();
  const Hdf5Handle type(H5Dget_type(dataset->get())), space(H5Dget_space(dataset->get()));
  hsize_t extent[2] = {};
  if (H5Tequal(type.get(), H5T_STD_U8LE) <= 0 || H5Sget_simple_extent_ndims(space.get()) != 2 ||
      H5Sget_simple_extent_dims(space.get(), extent, nullptr) < 0 ||
      !std::equal(extent, extent + 2, kExtent)) {
    return Error{std::errc::not_supported, name() + ": not the requests that this server keeps there"};
  }
  std::array<Row, kMost> rows;
  if (H5Dread(dataset->get(), H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows.data()) < 0) {
    return hdf5_error(name());
  }
  for (std::size_t i = 0; i < kMost; ++i) {
    requests_[i] = rows[i].request;
    latest_ = std::max(latest_, rows[i].number);
  }
  dataset_ = std::move(*dataset);
  return {};
}

Result<void> Hdf5Requests::make() {
  const Hdf5Handle space(H5Screate_simple(2, kExtent, nullptr));
  dataset_ = Hdf5Handle(H5Dcreate2(file_, name().c_str(), H5T_STD_U8LE, space.get(), H5P_DEFAULT,
                                   H5P_DEFAULT, H5P_DEFAULT));
  if (!dataset_) return hdf5_error("make " + name());
  return {};
}

bool Hdf5Requests::has(const RequestId& request) const {
  return std::find(requests_.begin(), requests_.end(), request) != requests_.end();
}

Result<void> Hdf5Requests::add(const RequestId& request) {
  if (!dataset_) {
    if (auto made = make(); !made) return made;
  }
  const Row row{latest_ + 1, request};
  const hsize_t start[2] = {latest_ % kMost, 0}, count[2] = {1, sizeof row};
  const Hdf5Handle space(H5Dget_space(dataset_.get())), memory(H5Screate_simple(2, count, nullptr));
  if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr) < 0 ||
      H5Dwrite(dataset_.get(), H5T_STD_U8LE, memory.get(), space.get(), H5P_DEFAULT, &row) < 0) {
    return hdf5_error(name());
  }
  requests_[start[0]] = request;
  ++latest_;
  return {};
}

}  // namespace skein
