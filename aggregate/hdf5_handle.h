// Identifiers of libhdf5 that are closed when they go, and its errors as ours. Debian's library is
// built without threads: everything of hdf5_*.h is used by one thread of the process only.
#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

#include "core/error.h"

namespace skein {

class Hdf5Handle {
 public:
  Hdf5Handle() = default;
  // Takes over `id`; a negative one is a failure and closes nothing.
  explicit Hdf5Handle(hid_t id) : id_(id) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Hdf5Handle() {
    if (id_ >= 0) H5Idec_ref(id_);
  }

  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }

 private:
  hid_t id_ = -1;
};

// What the library said last, as io_error: "<what>: <its innermost message>".
Error hdf5_error(const std::string& what);

// Once per process, before anything else: no messages on stderr, no plugins, which a file could
// name.
void prepare_hdf5();

}  // namespace skein
