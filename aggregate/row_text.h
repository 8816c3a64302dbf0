// Rows as text, in the forms that pandas writes and reads (docs/wire.md, "Tables"). A field f.g of
// nested rows becomes the column f_g, element 2 of an array field f the column f_2. Numbers are
// written so that they read back exactly; bytes end at their first NUL.
#pragma once

#include <string>

#include "aggregate/row_type.h"

namespace skein {

// {"col":{"0":v,"1":v},...}; keys count from 0 whatever the first row's number is. NaN and
// infinities become null. Complex numbers become texts.
std::string json_of_rows(const Rows& rows);

// A header with an empty first name, then one line per row that begins with its number from 0.
std::string csv_of_rows(const Rows& rows);

}  // namespace skein
