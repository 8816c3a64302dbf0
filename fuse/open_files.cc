#include "fuse/open_files.h"

namespace skein {

void OpenFiles::add(std::unique_ptr<OpenFile> file) {
  const std::lock_guard lock(mutex_);
  const OpenFile* const key = file.get();
  files_.emplace(key, std::move(file));
}

void OpenFiles::add(std::unique_ptr<DirectoryStream> directory) {
  const std::lock_guard lock(mutex_);
  const DirectoryStream* const key = directory.get();
  directories_.emplace(key, std::move(directory));
}

std::unique_ptr<OpenFile> OpenFiles::take(const OpenFile* file) {
  const std::lock_guard lock(mutex_);
  auto node = files_.extract(file);
  return node.empty() ? nullptr : std::move(node.mapped());
}

std::unique_ptr<DirectoryStream> OpenFiles::take(const DirectoryStream* directory) {
  const std::lock_guard lock(mutex_);
  auto node = directories_.extract(directory);
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
  Map<OpenFile> files;
  Map<DirectoryStream> directories;
  {
    const std::lock_guard lock(mutex_);
    files.swap(files_);
    directories.swap(directories_);
  }
}

}  // namespace skein
