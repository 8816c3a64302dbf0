// A store on a folder of its own, for one test.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "core/scratch_folder.h"
#include "dataserver/file_store.h"

namespace skein {

struct ScratchStore {
  explicit ScratchStore(FileStore::Options options = {}) { open(options); }

  // The server of this folder ended by a power cut, and there is a new one. What borrows the store
  // must be gone.
  void cut_power() {
    store.reset();
    std::fstream(on_disk(".skein/session"), std::ios::in | std::ios::out) << "other";
    open({});
  }

  std::filesystem::path on_disk(const std::string& name) const { return scratch.path() / name; }

  void write_by_hand(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(on_disk(name).parent_path());
    std::ofstream(on_disk(name), std::ios::binary) << bytes;
  }
  std::string read_by_hand(const std::string& name) const {
    std::ifstream in(on_disk(name), std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Names in the stage folder.
  std::size_t staged() const {
    return static_cast<std::size_t>(std::distance(
        std::filesystem::directory_iterator(on_disk(".skein/stage")), {}));
  }
  Result<void> put(const std::string& name, const std::string& bytes) {
    auto stage = store->stage(path(name), bytes.size());
    if (!stage) return stage.error();
    if (auto appended = stage->append(bytes); !appended) return appended;
    return store->publish(*stage, path(name));
  }
  static ClusterPath path(const std::string& text) {
    auto parsed = ClusterPath::parse(text);
    REQUIRE(parsed);
    return *parsed;
  }

  ScratchFolder scratch;
  std::unique_ptr<FileStore> store;

 private:
  void open(FileStore::Options options) {
    auto opened = FileStore::open(scratch.path().string(), options);
    REQUIRE(opened);
    store = std::move(*opened);
  }
};

}  // namespace skein
