#include "aggregate/hdf5_attribute.h"

namespace skein {
namespace {

Result<Hdf5Handle> new_attribute(hid_t object, const std::string& name, hid_t type, hid_t space) {
  if (H5Aexists(object, name.c_str()) > 0 && H5Adelete(object, name.c_str()) < 0) {
    return hdf5_error("replace attribute " + name);
  }
  Hdf5Handle attribute(
      H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT));
  if (!attribute) return hdf5_error("make attribute " + name);
  return attribute;
}

}  // namespace

Result<void> set_text_attribute(hid_t object, const std::string& name, std::string_view text,
                                TextSet set) {
  const Hdf5Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), text.empty() ? 1 : text.size());
  if (set == TextSet::kUtf8) H5Tset_cset(type.get(), H5T_CSET_UTF8);
  const Hdf5Handle space(H5Screate(text.empty() ? H5S_NULL : H5S_SCALAR));
  const auto attribute = new_attribute(object, name, type.get(), space.get());
  if (!attribute) return attribute.error();
  if (!text.empty() && H5Awrite(attribute->get(), type.get(), text.data()) < 0) {
    return hdf5_error("write attribute " + name);
  }
  return {};
}

Result<void> set_attribute(hid_t object, const std::string& name, hid_t file_type,
                           hid_t memory_type, const void* value) {
  const Hdf5Handle space(H5Screate(H5S_SCALAR));
  const auto attribute = new_attribute(object, name, file_type, space.get());
  if (!attribute) return attribute.error();
  if (H5Awrite(attribute->get(), memory_type, value) < 0) {
    return hdf5_error("write attribute " + name);
  }
  return {};
}

Result<void> mark_pytables(hid_t object, std::string_view of_class, std::string_view version) {
  if (auto set = set_text_attribute(object, "CLASS", of_class); !set) return set;
  if (auto set = set_text_attribute(object, "TITLE", ""); !set) return set;
  return set_text_attribute(object, "VERSION", version);
}

}  // namespace skein
