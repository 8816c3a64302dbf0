#include "aggregate/hdf5_driver.h"

#include <cstring>
#include <new>

namespace skein {
namespace {

// What the library carries through its file access list, byte by byte.
struct Access {
  FileImage* image;
};

// As the library wants it: its own part first.
struct OpenImage {
  H5FD_t base;
  FileImage* image;
  haddr_t end_of_allocated;
};

OpenImage* of(H5FD_t* file) { return reinterpret_cast<OpenImage*>(file); }
const OpenImage* of(const H5FD_t* file) { return reinterpret_cast<const OpenImage*>(file); }

H5FD_t* open_image(const char*, unsigned, hid_t access_list, haddr_t) {
  const auto* access = static_cast<const Access*>(H5Pget_driver_info(access_list));
  if (access == nullptr) return nullptr;
  auto* file = new (std::nothrow) OpenImage{};
  if (file != nullptr) file->image = access->image;
  return reinterpret_cast<H5FD_t*>(file);
}

herr_t close_image(H5FD_t* file) {
  delete of(file);
  return 0;
}

int compare(const H5FD_t* a, const H5FD_t* b) {
  if (of(a)->image == of(b)->image) return 0;
  return of(a)->image < of(b)->image ? -1 : 1;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  // Not H5FD_FEAT_DATA_SIEVE: one row of a contiguous dataset would be written as all of it.
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA |
           H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t get_eoa(const H5FD_t* file, H5FD_mem_t) { return of(file)->end_of_allocated; }

herr_t set_eoa(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  of(file)->end_of_allocated = address;
  return 0;
}

haddr_t get_eof(const H5FD_t* file, H5FD_mem_t) { return of(file)->image->size_bytes(); }

herr_t read_image(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, std::size_t size, void* into) {
  return of(file)->image->read(address, {static_cast<char*>(into), size}) ? 0 : -1;
}

herr_t write_image(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, std::size_t size,
                   const void* from) {
  return of(file)->image->write(address, {static_cast<const char*>(from), size}) ? 0 : -1;
}

herr_t truncate_image(H5FD_t* file, hid_t, hbool_t) {
  of(file)->image->set_size(of(file)->end_of_allocated);
  return 0;
}

H5FD_class_t driver_class() {
  H5FD_class_t driver{};
#ifdef H5FD_CLASS_VERSION  // from HDF5 1.14 on
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(600);  // of no known driver
#endif
  driver.name = "skein-image";
  driver.maxaddr = (haddr_t{1} << 62) - 1;
  driver.fc_degree = H5F_CLOSE_STRONG;  // closing the file closes what is open in it
  driver.fapl_size = sizeof(Access);
  driver.open = open_image;
  driver.close = close_image;
  driver.cmp = compare;
  driver.query = query;
  driver.get_eoa = get_eoa;
  driver.set_eoa = set_eoa;
  driver.get_eof = get_eof;
  driver.read = read_image;
  driver.write = write_image;
  driver.truncate = truncate_image;
  const H5FD_mem_t map[H5FD_MEM_NTYPES] = H5FD_FLMAP_DICHOTOMY;
  std::memcpy(driver.fl_map, map, sizeof map);
  return driver;
}

hid_t driver_id() {
  static const H5FD_class_t driver = driver_class();
  static const hid_t id = H5FDregister(&driver);
  return id;
}

Result<Hdf5Handle> access_list(FileImage& image) {
  Hdf5Handle list(H5Pcreate(H5P_FILE_ACCESS));
  const Access access{&image};
  if (!list || H5Pset_driver(list.get(), driver_id(), &access) < 0) {
    return hdf5_error("prepare HDF5");
  }
  return list;
}

constexpr const char* kName = "image";  // only for the library's messages

}  // namespace

Result<Hdf5Handle> create_hdf5(FileImage& image) {
  const auto access = access_list(image);
  if (!access) return access.error();
  Hdf5Handle file(H5Fcreate(kName, H5F_ACC_TRUNC, H5P_DEFAULT, access->get()));
  if (!file) return hdf5_error("make HDF5 file");
  return file;
}

Result<Hdf5Handle> open_hdf5(FileImage& image, Hdf5Access mode) {
  const auto access = access_list(image);
  if (!access) return access.error();
  const unsigned flags = mode == Hdf5Access::kWrite ? H5F_ACC_RDWR : H5F_ACC_RDONLY;
  Hdf5Handle file(H5Fopen(kName, flags, access->get()));
  if (!file) return Error{std::errc::bad_message, hdf5_error("open HDF5 file").what};
  return file;
}

}  // namespace skein
