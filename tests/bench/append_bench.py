"""Appends over HTTP beside what a writer without a server does, in one table."""
import append_tables
import append_text
from measure import Table, build

SECTIONS = {"text": append_text.text, "tables": append_tables.tables}
BOTH = ("tmpfs", "disk")


def main(quick, only=tuple(SECTIONS), on=None, as_json=False):
    build("dataserver/skein-dataserver", "tools/skein", "tests/bench/bench-append-loop")
    table = Table("Appends: medians of 5, and the ratio to the reference in the same run", as_json)
    for kind in [on] if on else BOTH:
        for name in only:
            SECTIONS[name](table, kind, 4 if quick else 1)
    table.print()
