#include "aggregate/table_file.h"

#include <map>

#include "aggregate/hdf5_attribute.h"
#include "aggregate/hdf5_driver.h"
#include "aggregate/hdf5_metadata.h"
#include "aggregate/hdf5_requests.h"
#include "aggregate/hdf5_series.h"
#include "aggregate/hdf5_table.h"

namespace skein {
namespace {

void prepare_once() {
  static const bool prepared = (prepare_hdf5(), true);
  (void)prepared;
}

// What a root group of PyTables has, so that it knows the file for one of its own.
Result<void> mark_root(hid_t file) {
  const Hdf5Handle root(H5Gopen2(file, "/", H5P_DEFAULT));
  if (!root) return hdf5_error("open root group");
  if (auto marked = mark_pytables(root.get(), "GROUP", "1.0"); !marked) return marked;
  return set_text_attribute(root.get(), "PYTABLES_FORMAT_VERSION", "2.1");
}

}  // namespace

// Destroyed from the last to the first: the library writes to the image when its file is closed.
struct TableFile::Parts {
  Options options;
  FileImage image;
  Hdf5Handle file;
  std::map<std::string, Hdf5Table> tables;  // those used so far; they keep their last chunk unpacked
  std::map<std::string, Hdf5Table*> grown;  // since the last commit
  std::optional<Hdf5Series> series;
  std::optional<Hdf5Requests> requests;
  bool spoilt = false;

  Parts(Options wanted, FileImage opened) : options(std::move(wanted)), image(std::move(opened)) {}

  // Null: no such table.
  Result<Hdf5Table*> table(const std::string& name) {
    if (name == Hdf5Requests::kName) {
      return Error{std::errc::bad_message, name + ": no table may be called so"};
    }
    if (const auto known = tables.find(name); known != tables.end()) return &known->second;
    auto opened = Hdf5Table::open(file.get(), name);
    if (!opened) return opened.error();
    if (!*opened) return static_cast<Hdf5Table*>(nullptr);
    return &tables.emplace(name, std::move(**opened)).first->second;
  }
  Result<Hdf5Series*> frames() {
    if (!series) {
      auto opened = Hdf5Series::open(file.get());
      if (!opened) return opened.error();
      series = std::move(*opened);
    }
    return &*series;
  }
  Result<Hdf5Requests*> kept_requests() {
    if (!requests) {
      auto opened = Hdf5Requests::open(file.get());
      if (!opened) return opened.error();
      requests = std::move(*opened);
    }
    return &*requests;
  }

  // Whatever fails after this has changed something.
  Result<void> touched(Result<void> done) {
    spoilt = spoilt || !done;
    return done;
  }

  Result<void> make(const AddRows& change);
  Result<void> make(const AddFrame& change);
  Result<void> make(const MergeMetadata& change);
};

TableFile::TableFile(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

TableFile::~TableFile() = default;

Result<std::unique_ptr<TableFile>> TableFile::create(Fd file, const Options& options) {
  prepare_once();
  auto image = FileImage::open(std::move(file), options.sync);
  if (!image) return image.error();
  auto parts = std::make_unique<Parts>(options, std::move(*image));
  auto made = create_hdf5(parts->image);
  if (!made) return made.error();
  parts->file = std::move(*made);
  if (auto marked = mark_root(parts->file.get()); !marked) return marked.error();
  return std::unique_ptr<TableFile>(new TableFile(std::move(parts)));
}

Result<void> TableFile::recover(int file, const Options& options) {
  auto journal =
      RedoJournal::open(file, {options.journal_directory, options.path, options.sync});
  if (!journal) return journal.error();
  return journal->remove();
}

Result<std::unique_ptr<TableFile>> TableFile::open(Fd file, const Options& options) {
  prepare_once();
  auto journal =
      RedoJournal::open(file.get(), {options.journal_directory, options.path, options.sync});
  if (!journal) return journal.error();
  auto image = FileImage::open(std::move(file), options.sync);
  if (!image) return image.error();
  auto parts = std::make_unique<Parts>(options, std::move(*image));
  parts->image.keep_journal(std::move(*journal));
  auto opened = open_hdf5(parts->image, Hdf5Access::kWrite);
  if (!opened) {
    [[maybe_unused]] const auto removed = parts->image.close_journal();
    return opened.error();
  }
  parts->file = std::move(*opened);
  return std::unique_ptr<TableFile>(new TableFile(std::move(parts)));
}

Result<std::unique_ptr<TableFile>> TableFile::open_for_reading(Fd file) {
  prepare_once();
  auto image = FileImage::open(std::move(file), false);
  if (!image) return image.error();
  auto parts = std::make_unique<Parts>(Options{}, std::move(*image));
  auto opened = open_hdf5(parts->image, Hdf5Access::kRead);
  if (!opened) return opened.error();
  parts->file = std::move(*opened);
  return std::unique_ptr<TableFile>(new TableFile(std::move(parts)));
}

int TableFile::fd() const { return parts_->image.fd(); }
bool TableFile::spoilt() const { return parts_->spoilt; }
bool TableFile::unclear() const { return parts_->image.failed(); }

Result<void> TableFile::Parts::make(const AddRows& change) {
  auto found = table(change.table);
  if (!found) return found.error();
  const auto* rows = std::get_if<Rows>(&change.rows);
  std::optional<Rows> fitted;
  if (const auto* loose = std::get_if<LooseRows>(&change.rows)) {
    RowType type;
    if (*found == nullptr) {
      auto natural = natural_type(*loose);
      if (!natural) return natural.error();
      type = std::move(*natural);
    } else {
      type = (*found)->type();
    }
    auto fits = fit(*loose, type);
    if (!fits) return fits.error();
    fitted = std::move(*fits);
    rows = &*fitted;
  }
  if (*found == nullptr) {
    auto made = Hdf5Table::create(file.get(), change.table, rows->type);
    if (!made) {
      // A name that cannot be is found before anything is made.
      spoilt = spoilt || made.error().code != std::errc::bad_message;
      return made.error();
    }
    *found = &tables.emplace(change.table, std::move(*made)).first->second;
    grown[change.table] = *found;
    return touched((*found)->append(*rows));
  }
  auto appended = (*found)->append(*rows);
  if (!appended && appended.error().code == std::errc::io_error) spoilt = true;
  if (appended) grown[change.table] = *found;
  return appended;
}

Result<void> TableFile::Parts::make(const AddFrame& change) {
  const auto kept = frames();
  if (!kept) return kept.error();
  if ((*kept)->has(change.number)) {
    return Error{std::errc::file_exists, frame_name(change.number) + ": the frame is there already"};
  }
  return touched((*kept)->add(change.number, change.frame));
}

Result<void> TableFile::Parts::make(const MergeMetadata& change) {
  if (auto checked = check_metadata(change.json); !checked) return checked;
  return touched(merge_metadata(file.get(), change.json));
}

Result<bool> TableFile::has_made(const RequestId& request) {
  const auto kept = parts_->kept_requests();
  if (!kept) return kept.error();
  return (*kept)->has(request);
}

Result<void> TableFile::change(const TableChange& change, const std::optional<RequestId>& request) {
  const auto make = [&] {
    return std::visit([this](const auto& one) { return parts_->make(one); }, change);
  };
  if (!request) return make();
  const auto kept = parts_->kept_requests();
  if (!kept) return kept.error();
  if (auto made = make(); !made) return made;
  return parts_->touched((*kept)->add(*request));
}

Result<void> TableFile::commit() {
  for (const auto& [name, table] : parts_->grown) {
    if (auto marked = parts_->touched(table->mark_count()); !marked) return marked;
  }
  parts_->grown.clear();
  if (H5Fflush(parts_->file.get(), H5F_SCOPE_LOCAL) < 0) {
    return parts_->touched(hdf5_error("write HDF5 file"));
  }
  return parts_->touched(parts_->image.commit());
}

Result<void> TableFile::start_journal() {
  const Options& options = parts_->options;
  auto journal = RedoJournal::open(fd(), {options.journal_directory, options.path, options.sync});
  if (!journal) return parts_->touched(journal.error());
  parts_->image.keep_journal(std::move(*journal));
  return {};
}

Result<std::optional<TableFile::Shape>> TableFile::shape(const std::string& table) {
  const auto found = parts_->table(table);
  if (!found) return found.error();
  if (*found == nullptr) return std::optional<Shape>();
  return std::optional(Shape{(*found)->type(), (*found)->count()});
}

Result<Rows> TableFile::read(const std::string& table, std::uint64_t from, std::uint64_t count) {
  const auto found = parts_->table(table);
  if (!found) return found.error();
  if (*found == nullptr) return Error{std::errc::io_error, "the table is gone"};
  return (*found)->read(from, count);
}

Result<std::string> TableFile::metadata_json() { return skein::metadata_json(parts_->file.get()); }

Result<std::vector<std::string>> TableFile::members() {
  std::vector<std::string> names = {"metadata.json"};
  const auto events = has_object(parts_->file.get(), "Events");
  if (!events) return events.error();
  if (*events) names.emplace_back("events.json");
  const auto kept = parts_->frames();
  if (!kept) return kept.error();
  for (const auto& [number, row] : (*kept)->rows_by_number()) names.push_back(frame_name(number));
  return names;
}

Result<std::optional<std::string>> TableFile::frame(std::int32_t number) {
  const auto kept = parts_->frames();
  if (!kept) return kept.error();
  return (*kept)->read(number);
}

Result<void> TableFile::close() {
  // Readers and commits leave nothing behind that is not written.
  parts_->tables.clear();
  parts_->series.reset();
  parts_->requests.reset();
  parts_->file = Hdf5Handle();
  parts_->image.drop();
  if (parts_->spoilt) return {};
  return parts_->image.close_journal();
}

}  // namespace skein
