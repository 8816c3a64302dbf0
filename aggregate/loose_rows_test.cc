#include "aggregate/loose_rows.h"

#include <cstring>

#include <doctest/doctest.h>

#include "aggregate/row_text.h"

using namespace skein;

namespace {

Result<Rows> natural(const Result<LooseRows>& loose) {
  if (!loose) return loose.error();
  const auto type = natural_type(*loose);
  if (!type) return type.error();
  return fit(*loose, *type);
}

std::string refusal(const Result<Rows>& rows) { return rows ? "none" : rows.error().what; }

}  // namespace

TEST_CASE("CSV: columns get the type of their cells, quoted cells may hold anything") {
  const auto rows = natural(parse_csv_rows(
      "#i, x, name, ok\r\n1, 2.5, \"a, \"\"b\"\"\nc\", True\r\n-2, , d, False\r\n"));
  REQUIRE_MESSAGE(rows.ok(), rows.error().what);
  CHECK(rows->count == 2);
  REQUIRE(rows->type.fields.size() == 4);
  CHECK(describe(rows->type.fields[0]) == "int64");
  CHECK(describe(rows->type.fields[1]) == "float64");
  CHECK(describe(rows->type.fields[2]) == "bytes32");
  CHECK(describe(rows->type.fields[3]) == "bool");
  CHECK(csv_of_rows(*rows) ==
        ",i,x,name,ok\n0,1,2.5,\"a, \"\"b\"\"\nc\",True\n1,-2,,d,False\n");
  CHECK(json_of_rows(*rows) ==
        R"({"i":{"0":1,"1":-2},"x":{"0":2.5,"1":null},"name":{"0":"a, \"b\"\u000ac","1":"d"},)"
        R"("ok":{"0":true,"1":false}})");
}

TEST_CASE("CSV: tabs separate where there are no commas") {
  const auto rows = natural(parse_csv_rows("a\tb\n1\t2\n"));
  REQUIRE(rows.ok());
  CHECK(rows->type.fields.size() == 2);
}

TEST_CASE("CSV: what is no table is refused with its line") {
  CHECK(refusal(natural(parse_csv_rows("a,b\n1,2\n3\n"))).find("line 3") != std::string::npos);
  CHECK(refusal(natural(parse_csv_rows("1,2\n3,4\n"))).find("name the columns") !=
        std::string::npos);
  CHECK(refusal(natural(parse_csv_rows("a,b\n\"x,2\n"))).find("not closed") != std::string::npos);
  CHECK(refusal(natural(parse_csv_rows("a,a\n1,2\n"))).find("two fields") != std::string::npos);
  CHECK(refusal(natural(parse_csv_rows("a,\n1,2\n"))) != "none");
  CHECK(refusal(natural(parse_csv_rows("a\nx\n1\n"))).find("several kinds") != std::string::npos);
  CHECK(refusal(natural(parse_csv_rows(""))) != "none");
}

TEST_CASE("JSON: records, lines of records and columns are the same rows") {
  const std::string wanted = R"({"s":{"0":"a","1":"b"},"x":{"0":1,"1":2}})";
  for (const char* text : {R"([{"x":1,"s":"a"},{"s":"b","x":2}])",
                           "{\"x\":1,\"s\":\"a\"}\n{\"x\":2,\"s\":\"b\"}\n",
                           R"({"x":{"0":1,"1":2},"s":{"0":"a","1":"b"}})"}) {
    const auto rows = natural(parse_json_rows(text));
    REQUIRE_MESSAGE(rows.ok(), rows.error().what);
    CHECK(json_of_rows(*rows) == wanted);
  }
}

TEST_CASE("JSON: what is no table is refused") {
  for (const char* text : {"[]", "[1,2]", "{", "\"x\"", R"([{"x":1},{"y":1}])", R"([{"x":[1]}])",
                           R"({"x":{"0":1},"y":{"0":1,"1":2}})", R"({"x":{"1":1}})", "[{}]",
                           R"([{"x":99999999999999999999}, {"x":18446744073709551615}])"}) {
    CHECK_MESSAGE(refusal(natural(parse_json_rows(text))) != "none", text);
  }
  CHECK_FALSE(parse_json_rows(std::string(1'000'000, '[')).ok());
}

TEST_CASE("rows are fitted to a table's type by name, and what does not fit is named") {
  RowType table;
  RowField field;
  field.kind = RowField::Kind::kFloat;
  field.item_bytes = 4;
  field.name = "x";
  add_field(table, field);
  field.kind = RowField::Kind::kUnsigned;
  field.item_bytes = 1;
  field.name = "n";
  add_field(table, field);
  field.kind = RowField::Kind::kBytes;
  field.item_bytes = 3;
  field.name = "s";
  add_field(table, field);
  const auto fitted = [&](std::string_view csv) { return fit(*parse_csv_rows(csv), table); };

  const auto rows = fitted("s,n,x\nabc,255,1\n,0,\n");
  REQUIRE_MESSAGE(rows.ok(), rows.error().what);
  float x = 0;
  std::memcpy(&x, rows->bytes.data(), 4);
  CHECK(x == 1.0F);
  CHECK(rows->bytes.substr(4, 4) == "\xff" "abc");
  CHECK(refusal(fitted("s,n,x\nabcd,0,1\n")).find("column s") != std::string::npos);
  CHECK(refusal(fitted("s,n,x\na,256,1\n")).find("column n: 256 is no uint8") != std::string::npos);
  CHECK(refusal(fitted("s,n,x\na,1.5,1\n")).find("column n") != std::string::npos);
  CHECK(refusal(fitted("s,n,x\na,-1,1\n")).find("column n") != std::string::npos);
  CHECK(refusal(fitted("s,n,x\na,1,b\n")).find("column x: 'b' is no float32") != std::string::npos);
  CHECK(refusal(fitted("s,n\na,1\n")).find("column x: it is missing") != std::string::npos);
  CHECK(refusal(fitted("s,n,x,y\na,1,1,1\n")).find("column y") != std::string::npos);
}
