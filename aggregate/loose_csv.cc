// CSV with a header line, read into loose rows.
#include "aggregate/loose_rows.h"

#include <charconv>

namespace skein {
namespace {

Error malformed(std::size_t line, const std::string& why) {
  return {std::errc::bad_message, "CSV, line " + std::to_string(line) + ": " + why};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

struct Cell {
  std::string text;
  bool quoted = false;
};

// One record; quoted cells may hold separators, line ends and doubled quotes.
class RecordReader {
 public:
  RecordReader(std::string_view text, char separator) : rest_(text), separator_(separator) {}

  bool at_end() const { return rest_.empty(); }
  std::size_t line() const { return line_; }

  Result<void> read(std::vector<Cell>& cells) {
    cells.clear();
    ++line_;
    for (;;) {
      Cell cell;
      while (rest_.starts_with(' ')) rest_.remove_prefix(1);
      if (rest_.starts_with('"')) {
        if (auto read = read_quoted(cell); !read) return read;
      } else {
        std::size_t end = 0;
        while (end < rest_.size() && rest_[end] != separator_ && rest_[end] != '\n') ++end;
        cell.text = trimmed(rest_.substr(0, end));
        rest_.remove_prefix(end);
      }
      cells.push_back(std::move(cell));
      if (rest_.starts_with(separator_)) {
        rest_.remove_prefix(1);
        continue;
      }
      if (!rest_.empty()) rest_.remove_prefix(1);
      return {};
    }
  }

 private:
  Result<void> read_quoted(Cell& cell) {
    cell.quoted = true;
    rest_.remove_prefix(1);
    for (;;) {
      const std::size_t quote = rest_.find('"');
      if (quote == std::string_view::npos) return malformed(line_, "a quote is not closed");
      cell.text += rest_.substr(0, quote);
      rest_.remove_prefix(quote + 1);
      if (!rest_.starts_with('"')) break;
      cell.text += '"';
      rest_.remove_prefix(1);
    }
    while (rest_.starts_with(' ') || rest_.starts_with('\r')) rest_.remove_prefix(1);
    if (!rest_.empty() && rest_.front() != separator_ && rest_.front() != '\n') {
      return malformed(line_, "text behind a closing quote");
    }
    return {};
  }

  std::string_view rest_;
  const char separator_;
  std::size_t line_ = 0;
};

template <typename Number>
bool is_number(std::string_view text, Number& number) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failure == std::errc() && end == text.data() + text.size();
}

LooseCell value_of(Cell cell) {
  if (cell.quoted) return std::move(cell.text);
  if (cell.text.empty()) return std::monostate();
  std::int64_t whole = 0;
  if (is_number(cell.text, whole)) return whole;
  double number = 0;
  if (is_number(cell.text, number)) return number;
  if (cell.text == "True" || cell.text == "true") return true;
  if (cell.text == "False" || cell.text == "false") return false;
  return std::move(cell.text);
}

}  // namespace

Result<LooseRows> parse_csv_rows(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.starts_with('#')) text.remove_prefix(1);
  const std::string_view first = text.substr(0, text.find('\n'));
  const bool tabs = first.find('\t') != first.npos && first.find(',') == first.npos;
  RecordReader reader(text, tabs ? '\t' : ',');
  LooseRows rows;
  std::vector<Cell> cells;
  if (auto read = reader.read(cells); !read) return read.error();
  for (Cell& cell : cells) {
    if (cell.text.empty()) return malformed(1, "a column without a name");
    double number = 0;
    if (!cell.quoted && is_number(cell.text, number)) {
      return malformed(1, "the first line must name the columns; " + cell.text + " is a number");
    }
    rows.names.push_back(std::move(cell.text));
  }
  if (rows.names.size() > kMaxFields) return malformed(1, "too many columns");
  rows.columns.resize(rows.names.size());
  while (!reader.at_end()) {
    if (auto read = reader.read(cells); !read) return read.error();
    const bool blank = cells.size() == 1 && cells[0].text.empty() && !cells[0].quoted;
    if (blank && rows.names.size() > 1) continue;
    if (cells.size() != rows.names.size()) {
      return malformed(reader.line(), std::to_string(cells.size()) + " cells for " +
                                          std::to_string(rows.names.size()) + " columns");
    }
    for (std::size_t i = 0; i < cells.size(); ++i) {
      rows.columns[i].push_back(value_of(std::move(cells[i])));
    }
    ++rows.count;
  }
  return rows;
}

}  // namespace skein
