#include "fuse/open_files.h"

namespace skein {

void OpenFiles::add(std::unique_ptr<OpenFile> file) {
  const std::lock_guard lock(mutex_);
  const OpenFile* const key = file.get();
  files_.emplace(key, std::move(file));
}

std::unique_ptr<OpenFile> OpenFiles::take(const OpenFile* file) {
  const std::lock_guard lock(mutex_);
  auto node = files_.extract(file);
  return node.empty() ? nullptr : std::move(node.mapped());
}

Unsealed::Session OpenFiles::session_of(Inode inode) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, file] : files_) {
    if (file->session && file->session->inode() == inode) return file->session;
  }
  return nullptr;
}

void OpenFiles::close_all() {
  std::unordered_map<const OpenFile*, std::unique_ptr<OpenFile>> open;
  {
    const std::lock_guard lock(mutex_);
    open.swap(files_);
  }
}

}  // namespace skein
