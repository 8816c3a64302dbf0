#include "aggregate/hdf5_table.h"

#include <algorithm>

#include "aggregate/hdf5_attribute.h"
#include "aggregate/hdf5_type.h"

namespace skein {
namespace {

// A chunk is packed anew at each commit that adds to it: smaller ones cost less then, larger ones
// pack better. PyTables takes as much for the tables that PYME makes.
constexpr std::size_t kChunkBytes = 128 * 1024;
constexpr unsigned kGzipLevel = 5;

Error unsupported(const std::string& name, const std::string& why) {
  return {std::errc::not_supported, name + ": " + why};
}

}  // namespace

Result<bool> has_object(hid_t group, const std::string& name) {
  if (name.empty() || name == "." || name.find('/') != std::string::npos) return false;
  if (H5Lexists(group, name.c_str(), H5P_DEFAULT) <= 0) return false;
  H5L_info_t link{};
  if (H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) < 0) return hdf5_error(name);
  if (link.type != H5L_TYPE_HARD) return unsupported(name, "a link, which is not followed");
  return true;
}

Result<Hdf5Handle> open_inner_dataset(hid_t group, const std::string& name) {
  H5O_info_t object{};
  if (H5Oget_info_by_name2(group, name.c_str(), &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0 ||
      object.type != H5O_TYPE_DATASET) {
    return unsupported(name, "no table or array");
  }
  Hdf5Handle dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT));
  if (!dataset) return hdf5_error(name);
  const Hdf5Handle list(H5Dget_create_plist(dataset.get()));
  const H5D_layout_t layout = H5Pget_layout(list.get());
  if (!list || H5Pget_external_count(list.get()) != 0 ||
      (layout != H5D_CHUNKED && layout != H5D_CONTIGUOUS && layout != H5D_COMPACT)) {
    return unsupported(name, "its rows lie in other files");
  }
  return dataset;
}

Result<std::optional<Hdf5Table>> Hdf5Table::open(hid_t file, const std::string& name) {
  const auto there = has_object(file, name);
  if (!there) return there.error();
  if (!*there) return std::optional<Hdf5Table>();
  auto dataset = open_inner_dataset(file, name);
  if (!dataset) return dataset.error();
  Hdf5Table table(name, std::move(*dataset));
  if (auto learnt = table.learn(); !learnt) return learnt.error();
  return std::optional(std::move(table));
}

Result<void> Hdf5Table::learn() {
  file_type_ = Hdf5Handle(H5Dget_type(dataset_.get()));
  const Hdf5Handle space(H5Dget_space(dataset_.get()));
  if (!file_type_ || !space || H5Tget_class(file_type_.get()) != H5T_COMPOUND ||
      H5Sget_simple_extent_ndims(space.get()) != 1) {
    return unsupported(name_, "no table of rows");
  }
  auto type = row_type_of(file_type_.get());
  if (!type) return unsupported(name_, type.error().what);
  type_ = std::move(*type);
  hsize_t now = 0, most = 0;
  H5Sget_simple_extent_dims(space.get(), &now, &most);
  count_ = now;
  can_grow_ = most == H5S_UNLIMITED;
  return {};
}

Result<Hdf5Table> Hdf5Table::create(hid_t file, const std::string& name, const RowType& type) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
    return Error{std::errc::bad_message, "'" + name + "' cannot name a table"};
  }
  const auto file_type = file_type_of(type);
  if (!file_type) return file_type.error();
  const hsize_t none = 0, unlimited = H5S_UNLIMITED;
  const hsize_t chunk = std::max<hsize_t>(1, kChunkBytes / packed(type).size_bytes);
  const Hdf5Handle space(H5Screate_simple(1, &none, &unlimited));
  const Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_chunk(list.get(), 1, &chunk);
  H5Pset_shuffle(list.get());
  H5Pset_deflate(list.get(), kGzipLevel);
  Hdf5Handle dataset(H5Dcreate2(file, name.c_str(), file_type->get(), space.get(), H5P_DEFAULT,
                                list.get(), H5P_DEFAULT));
  if (!dataset) return hdf5_error("make table " + name);
  Hdf5Table table(name, std::move(dataset));
  if (auto marked = mark_pytables(table.dataset_.get(), "TABLE", "2.7"); !marked) {
    return marked.error();
  }
  for (std::size_t i = 0; i < type.fields.size(); ++i) {
    auto named = set_text_attribute(table.dataset_.get(), "FIELD_" + std::to_string(i) + "_NAME",
                                    type.fields[i].name);
    if (!named) return named.error();
  }
  if (auto marked = table.mark_count(); !marked) return marked.error();
  if (auto learnt = table.learn(); !learnt) return learnt.error();
  return table;
}

Result<void> Hdf5Table::mark_count() {
  const auto rows = static_cast<std::int64_t>(count_);
  if (H5Aexists(dataset_.get(), "NROWS") > 0) {
    const Hdf5Handle attribute(H5Aopen(dataset_.get(), "NROWS", H5P_DEFAULT));
    if (attribute && H5Awrite(attribute.get(), H5T_NATIVE_INT64, &rows) >= 0) return {};
  }
  return set_attribute(dataset_.get(), "NROWS", H5T_STD_I64LE, H5T_NATIVE_INT64, &rows);
}

Result<void> Hdf5Table::transfer(bool write, const RowType& type, std::uint64_t from,
                                 std::uint64_t count, char* bytes) const {
  const auto memory = memory_type(type, file_type_.get());
  if (!memory) return memory.error();
  const Hdf5Handle space(H5Dget_space(dataset_.get()));
  const hsize_t start = from, length = count;
  const Hdf5Handle memory_space(H5Screate_simple(1, &length, nullptr));
  if (!space || !memory_space ||
      H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &length, nullptr) < 0) {
    return hdf5_error(name_);
  }
  const herr_t done =
      write ? H5Dwrite(dataset_.get(), memory->get(), memory_space.get(), space.get(), H5P_DEFAULT, bytes)
            : H5Dread(dataset_.get(), memory->get(), memory_space.get(), space.get(), H5P_DEFAULT, bytes);
  if (done < 0) return hdf5_error(name_);
  return {};
}

Result<void> Hdf5Table::append(const Rows& rows) {
  const auto refused = [&](const std::string& why) {
    return Error{std::errc::invalid_argument, "table " + name_ + ": " + why};
  };
  if (const auto why = mismatch(type_, rows.type)) return refused(*why);
  if (!can_grow_) return refused("it cannot grow");
  if (rows.count == 0) return {};
  if (const auto known = memory_type(rows.type, file_type_.get()); !known) return known.error();
  const hsize_t extent = count_ + rows.count;
  if (H5Dset_extent(dataset_.get(), &extent) < 0) return hdf5_error("grow table " + name_);
  // The library takes no const here, and does not write.
  char* const bytes = const_cast<char*>(rows.bytes.data());
  if (auto written = transfer(true, rows.type, count_, rows.count, bytes); !written) return written;
  count_ = extent;
  return {};
}

Result<Rows> Hdf5Table::read(std::uint64_t from, std::uint64_t count) const {
  Rows rows;
  rows.type = type_;
  rows.count = count;
  rows.bytes.resize(count * type_.size_bytes);
  if (count == 0) return rows;
  if (auto got = transfer(false, type_, from, count, rows.bytes.data()); !got) return got.error();
  return rows;
}

}  // namespace skein
