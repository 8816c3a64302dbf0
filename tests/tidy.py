#!/usr/bin/python3
"""Checks what review would nag about, over the files git knows. Each rule is a test.

usage: tests/tidy.py [--self-test]
The self-test breaks each rule on purpose, in a tree of its own, and wants it noticed; a plain run
begins with it. Rules and their reasons: docs/design.md, "Folders, and who may include whom".
exit status: 0 all kept; 1 a rule is broken
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[1]

# A folder may include those named here, itself, and (tests) anything.
BELOW = {
    "core": set(),
    "discovery": {"core"},
    "client": {"core", "discovery"},
    "cache": {"core", "discovery", "client"},
    "aggregate": {"core", "discovery", "client"},
    "fuse": {"core", "discovery", "client", "cache", "aggregate"},
    "dataserver": {"core", "discovery", "client", "cache", "aggregate"},
    "streamer": {"core", "discovery", "client", "cache", "aggregate"},
    "tools": {"core", "discovery", "client", "cache", "aggregate", "fuse", "dataserver",
              "streamer"},
}

# Library headers, and the only files that may include them: what a library's next version changes
# is then looked for in one place.
ONLY_IN = {
    r"lmdb\.h": r"cache/table_file\.cc",
    r"avahi-.*": r"discovery/\w*(browser|advertiser|avahi)\w*\.(cc|h)",
    r"fuse3?/?.*fuse_lowlevel\.h|fuse_lowlevel\.h": r"fuse/\w+\.(cc|h)|tests/faults/\w+\.cc",
    r"fuse\.h": r"tests/faults/\w+\.cc",
    r"httplib\.h": r"(?!)",
    # Parsing of small texts from outside; listings have a parser of their own (core/listing_json).
    r"nlohmann/.*": r"discovery/\w+\.cc|dataserver/(node_status|site)\.cc|"
                    r"fuse/(space|recovery)\.cc|tools/\w+\.cc|\w+/\w+_test\.cc"
                    r"|streamer/series_metadata\.cc"
                    r"|aggregate/(hdf5_metadata|loose_json|pickle_write)\.cc|aggregate/pickle_rows\.h",
    r"toml\+\+/.*": r"core/config\.cc",
    r"xxhash\.h|xxh_x86dispatch\.h": r"core/checksum\.cc",
    r"nettle/.*": r"core/digests\.cc",
    r"zlib\.h|zstd\.h": r"dataserver/content_coding\w*\.cc|streamer/\w+\.cc|tests/bench/codec\.cc",
    r"hdf5\.h|H5.*public\.h": r"aggregate/hdf5_handle\.h",
    r"tiffio\.h": r"tools/tiff_stack\.cc",
    r"CLI/.*": r"(tools|fuse|dataserver|streamer)/.*",
}
FUSE_LOWLEVEL_FILES = 1  # files of fuse/ that may include fuse_lowlevel.h

# Longer than MAX_LINES, and why that is better than two files.
MAX_LINES = 400
LONG_FILES = {
    "tests/tidy.py": "one rule after another, no state between them",
    "tests/net/netcluster.sh": "one library of shell functions, sourced as a whole",
}
# Text is set for 100 columns; a line that breaks badly there may have a few more.
MAX_COLUMNS = 120
LONG_LINES = {"tests/net/netcluster.sh", "core/config.cc"}  # shell as is; a table of settings

BANNED_WORDS = {"manager", "helper", "helpers", "util", "utils", "handler", "service", "misc",
                "common", "impl"}
# Words of foreign interfaces, which are called as they are; "mount helper" is mount(8)'s.
FOREIGN = re.compile(r"[Aa]vahi\w*|AVAHI\w*|\bsa_handler\b|std::set_\w+_handler|set_error_handler"
                     r"|parse_helper|is_mount_helper|helper|\bservice_(name|type|browser)\w*"
                     r"|\b_?pyme\w*|<[^>]*>|\"[^\"]*\"")

# Files that may sleep, with the reason.
MAY_SLEEP = {
    "cache/lock_file.cc": "a lock between processes has no call with a deadline",
}
# Files that need not keep the rule "forbidden", with the reason.
UNRULED = {
    "core/host_lookup.cc": "its threads cannot be joined: getaddrinfo(3) can't be called off",
    "tests/bench/receiver.cc": "the bare loop that others are measured against; ends by a signal",
}

failures = []


def fail(rule, place, message):
    failures.append((rule, f"{place}: {message}"))


def tracked(top):
    listed = subprocess.run(["git", "-C", str(top), "ls-files", "-z", "--cached", "--others",
                             "--exclude-standard"], capture_output=True, check=True)
    names = [name.decode() for name in listed.stdout.split(b"\0") if name]
    return sorted(name for name in names if (top / name).is_file())


class Tree:
    def __init__(self, top):
        self.top = top
        self.names = tracked(top)
        self.sources = [n for n in self.names if n.endswith((".cc", ".h"))]
        self.text = {}
        for name in self.names:
            try:
                self.text[name] = (top / name).read_text()
            except UnicodeDecodeError:
                self.text[name] = ""

    def lines(self, name):
        return enumerate(self.text[name].splitlines(), 1)

    def code_lines(self, name):
        """Lines without // comments and string contents: what identifiers live in."""
        for number, line in self.lines(name):
            line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
            yield number, re.sub(r"//.*", "", line)


def includes(tree, name):
    for number, line in tree.lines(name):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            yield number, match.group(1), match.group(2)


def rule_layers(tree):
    for name in tree.sources:
        folder = name.split("/")[0]
        for number, quote, included in includes(tree, name):
            target = included.split("/")[0]
            if quote != '"' or folder not in BELOW:
                continue
            if target not in BELOW:
                fail("layers", f"{name}:{number}", f'"{included}": quoted includes name a folder')
            elif target != folder and target not in BELOW[folder]:
                fail("layers", f"{name}:{number}", f"{folder}/ may not include {target}/")


def rule_library_headers(tree):
    lowlevel = 0
    for name in tree.sources:
        for number, _, included in includes(tree, name):
            lowlevel += included.endswith("fuse_lowlevel.h") and name.startswith("fuse/")
            for header, allowed in ONLY_IN.items():
                if re.fullmatch(header, included) and not re.fullmatch(allowed, name):
                    fail("library-headers", f"{name}:{number}", f"<{included}> belongs elsewhere")
    if lowlevel > FUSE_LOWLEVEL_FILES:
        fail("library-headers", "fuse/", f"fuse_lowlevel.h is included by {lowlevel} files")


def rule_own_header_first(tree):
    for name in tree.sources:
        own = re.sub(r"(_test)?\.cc$", ".h", name)
        if name.endswith(".cc") and own in tree.names:
            first = next(includes(tree, name), (0, "", ""))
            if first[2] != own:
                fail("own-header-first", f"{name}:{first[0]}", f'begin with #include "{own}"')


def rule_pragma_once(tree):
    for name in tree.sources:
        if name.endswith(".h") and not re.search(r"^#pragma once$", tree.text[name], re.M):
            # A header for C callers compiles there too, where the pragma is as good.
            fail("pragma-once", name, "no #pragma once")


def rule_header_comment(tree):
    for name in tree.sources:
        if name.endswith(".h") and not tree.text[name].startswith(("//", "/*")):
            fail("header-comment", name, "begin with what it is: contract, units, errors, threads")


def rule_length(tree):
    for name in tree.names:
        if name.endswith((".cc", ".h", ".py", ".sh", "/run")):
            count = tree.text[name].count("\n")
            if count > MAX_LINES and name not in LONG_FILES:
                fail("length", name, f"{count} lines; is it two things? (limit {MAX_LINES})")


def rule_columns(tree):
    for name in tree.names:
        if not name.endswith((".cc", ".h", ".py", ".sh", "meson.build")) or name in LONG_LINES:
            continue
        for number, line in tree.lines(name):
            if len(line) > MAX_COLUMNS:
                fail("columns", f"{name}:{number}", f"{len(line)} columns (limit {MAX_COLUMNS})")


def rule_white_space(tree):
    for name in tree.names:
        if not name.endswith((".cc", ".h", ".py", ".sh", "meson.build", ".md")):
            continue
        for number, line in tree.lines(name):
            if line != line.rstrip() or "\t" in line and name != "tests/net/netcluster.sh":
                fail("white-space", f"{name}:{number}", "tab, or space at the end of the line")


def words_of(identifier):
    return [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)]


def rule_names(tree):
    for name in tree.names:
        stem = pathlib.PurePath(name).stem
        if BANNED_WORDS & set(words_of(stem)):
            fail("names", name, "the file name says nothing: name the noun")
    for name in tree.sources:
        for number, line in tree.code_lines(name):
            declared = re.findall(r"\b(?:class|struct|enum|namespace|using)\s+(\w+)", line)
            declared += re.findall(r"\b(\w+)\s*\([^;]*\)\s*(?:const)?\s*\{", FOREIGN.sub("", line))
            for identifier in declared:
                banned = BANNED_WORDS & set(words_of(identifier))
                if banned and not FOREIGN.fullmatch(identifier):
                    fail("names", f"{name}:{number}", f"{identifier}: {', '.join(banned)}")


FORBIDDEN = {
    r"\busing\s+namespace\s+(?!std::\w*literals|skein;)": "using namespace",
    r"\.detach\s*\(": "detach(): a thread is joined by its owner",
    r"\bstd::thread\b(?!::)": "std::thread: use std::jthread",
    r"\b(rand|srand)\s*\(": "rand(): use a generator whose seed is printed",
    r"\b(strcpy|strcat|sprintf|gets|mktemp|tmpnam)\s*\(": "an unbounded or racy call",
    r"\bfor\s*\([^;]*:\s*\*[\w.>-]*\b(nodes|wait_settled)\s*\(": "the snapshot is gone in the loop: name it",
    r"\bcatch\s*\(\s*\.\.\.\s*\)\s*\{\s*\}": "swallows every error",
}


def rule_forbidden(tree):
    for name in tree.sources:
        for number, line in tree.code_lines(name) if name not in UNRULED else ():
            if "using namespace skein;" in line and not name.endswith(("_test.cc", "main.cc")):
                fail("forbidden", f"{name}:{number}", "using namespace")
            for pattern, message in FORBIDDEN.items():
                if re.search(pattern, line):
                    fail("forbidden", f"{name}:{number}", message)


def rule_no_sleep(tree):
    pattern = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|(?<![\w.>:])sleep\s*\(")
    for name in tree.sources:
        if name.startswith("tests/") or name in MAY_SLEEP:
            continue
        for number, line in tree.code_lines(name):
            if pattern.search(line):
                fail("no-sleep", f"{name}:{number}", "wait on a condition with a deadline")


def rule_no_promises(tree):
    pattern = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    for name in tree.names:
        if name.endswith((".cc", ".h", ".py", ".sh", "meson.build")) and name != "tests/tidy.py":
            for number, line in tree.lines(name):
                if pattern.search(line):
                    fail("no-promises", f"{name}:{number}", "do it, or leave it out")


def rule_built(tree):
    """Every source is named by a meson.build (headers: included by someone)."""
    builds = "\n".join(tree.text[n] for n in tree.names if n.endswith("meson.build"))
    runners = "\n".join(tree.text[n] for n in tree.names if n.endswith(("/run", ".sh")))
    included = {what for name in tree.sources for _, _, what in includes(tree, name)}
    for name in tree.sources:
        base = name.split("/")[-1]
        if name.endswith(".cc"):
            stem = base[:-3]
            if not re.search(rf"['/]{re.escape(base)}'", builds) and stem not in runners \
                    and not (base.endswith("_fuzz.cc") and "_fuzz.cc" in runners):
                fail("built", name, "no meson.build names it")
        elif name not in included and base not in included and base not in builds:
            fail("built", name, "nothing includes it")


def rule_tests_assert(tree):
    for name in tree.names:
        if name.endswith("_test.cc"):
            if not re.search(r"\b(CHECK|REQUIRE)\w*\s*\(", tree.text[name]):
                fail("tests-assert", name, "asserts nothing")
        elif re.search(r"(^|/)test_\w+\.py$", name):
            functions = r"^def (test_\w+)\(.*?(?=^\S|\Z)"
            for match in re.finditer(functions, tree.text[name], re.M | re.S):
                body = match.group(0)
                if not re.search(r"\b(assert\w*|check_\w+|soon|eventually)\b|pytest\.raises", body):
                    fail("tests-assert", name, f"{match.group(1)} asserts nothing")


def rule_links(tree):
    for name in tree.names:
        if not name.endswith(".md"):
            continue
        for number, line in tree.lines(name):
            for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", line):
                if "://" in target or target.startswith("mailto:"):
                    continue
                if not (tree.top / name).parent.joinpath(target).exists():
                    fail("links", f"{name}:{number}", f"{target} does not exist")
    # "docs/x.md" in a comment is a link too.
    for name in tree.sources:
        for number, line in tree.lines(name):
            for target in re.findall(r"\bdocs/[\w/.]*\.(?:md|\d)\b", line):
                if not (tree.top / target).exists():
                    fail("links", f"{name}:{number}", f"{target} does not exist")


def rule_workplace(tree):
    """Files speak of the project alone."""
    pattern = re.compile(r"(?<![\w.])/work/|\bWIRE\.md|\bSTYLE\.md|(?<!docs/)\bDESIGN\.md")
    for name in tree.names:
        if name != "tests/tidy.py":
            for number, line in tree.lines(name):
                if pattern.search(line):
                    fail("workplace", f"{name}:{number}", "names a place outside the project")


MANUALS = {"dataserver/skein-dataserver": "docs/manual/skein-dataserver.8",
           "fuse/skein-mount": "docs/manual/skein-mount.8",
           "tools/skein": "docs/manual/skein.1"}


def rule_manuals(tree):
    """Pages are sound for mandoc, and name every flag that the built programs print in --help."""
    build = pathlib.Path(os.environ.get("SKEIN_BUILD", tree.top / "build"))
    for program, page in MANUALS.items():
        if page not in tree.names:
            fail("manuals", page, "missing")
            continue
        if shutil.which("mandoc"):
            lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(tree.top / page)],
                                  capture_output=True, text=True, timeout=20)
            for line in lint.stdout.splitlines():
                fail("manuals", page, line.split(": ", 1)[-1])
        if (build / program).is_file():
            for flag in sorted(printed_flags(build / program)):
                plain = tree.text[page].replace("\\-", "-")
                in_page = re.search(rf"(^|[\s(,]){re.escape(flag)}\b|Fl {re.escape(flag[1:])}\b",
                                    plain, re.M)
                if not in_page:
                    fail("manuals", page, f"does not name {flag}")


def printed_flags(program):
    def text(*arguments):
        asked = subprocess.run([str(program), *arguments, "--help"], capture_output=True, text=True,
                               timeout=20, stdin=subprocess.DEVNULL)
        return asked.stdout + asked.stderr

    top = text()
    pages = [top]
    if program.name == "skein":
        commands = re.findall(r"^  ([a-z]+)\s", top, re.M)
        # Those two hand over to the other programs, whose pages tell.
        pages += [text(command) for command in commands if command not in ("mount", "serve")]
    # Flags stand at the start of a help line; sentences may speak of other programs' flags.
    found = set()
    for line in "\n".join(pages).splitlines():
        head = re.match(r"\s+((-{1,2}[\w-]+)(,\s*-{1,2}[\w-]+)*)", line)
        if head:
            found |= set(re.findall(r"--[\w-]+", head.group(1)))
    return found


RULES = [rule_layers, rule_library_headers, rule_own_header_first, rule_pragma_once,
         rule_header_comment, rule_length, rule_columns, rule_white_space, rule_names,
         rule_forbidden, rule_no_sleep, rule_no_promises, rule_built, rule_tests_assert, rule_links,
         rule_workplace, rule_manuals]

# What each rule must notice: file name and content.
OFFENCES = {
    "layers": ("core/a.cc", '#include "client/b.h"\n'),
    "library-headers": ("client/a.cc", "#include <lmdb.h>\n"),
    "own-header-first": ("core/own.cc", '#include <vector>\n#include "core/own.h"\n'),
    "pragma-once": ("core/a.h", "// A thing.\nint f();\n"),
    "header-comment": ("core/a.h", "#pragma once\n"),
    "length": ("core/a.cc", "int x;\n" * (MAX_LINES + 1)),
    "columns": ("core/a.cc", "//" + "x" * MAX_COLUMNS + "\n"),
    "white-space": ("core/a.cc", "int x; \n"),
    "names": ("core/a.cc", "class FileManager;\n"),
    "forbidden": ("core/a.cc", "using namespace std;\n"),
    "no-sleep": ("core/a.cc", "std::this_thread::sleep_for(1s);\n"),
    "no-promises": ("core/a.cc", "// TODO later\n"),
    "built": ("core/nobody.cc", "int x;\n"),
    "tests-assert": ("tests/e2e/test_a.py", "def test_nothing():\n    pass\n"),
    "links": ("README.md", "[design](docs/nowhere.md)\n"),
    "workplace": ("core/a.cc", "// see WIRE.md\n"),
    "manuals": ("README.md", "no manual pages here\n"),
}


def name_of(rule):
    return rule.__name__.removeprefix("rule_").replace("_", "-")


def self_test():
    """Every rule notices its offence, or this program proves nothing."""
    blind = []
    for rule in RULES:
        with tempfile.TemporaryDirectory(prefix="skein-tidy-") as folder:
            top = pathlib.Path(folder)
            subprocess.run(["git", "init", "-q", str(top)], check=True, capture_output=True)
            name, content = OFFENCES[name_of(rule)]
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(content)
            if name == "core/own.cc":
                (top / "core/own.h").write_text("// A thing.\n#pragma once\n")
            failures.clear()
            rule(Tree(top))
            if not any(broken == name_of(rule) for broken, _ in failures):
                blind.append(name_of(rule))
            failures.clear()
    return blind


def main():
    blind = self_test()
    for name in blind:
        print(f"tidy self-test: rule {name} does not notice its offence")
    passed, failed = (0, 1) if blind else (1, 0)
    if "--self-test" not in sys.argv[1:]:
        tree = Tree(TOP)
        for rule in RULES:
            failures.clear()
            rule(tree)
            for broken, message in failures:
                print(f"{broken}: {message}")
            passed, failed = (passed, failed + 1) if failures else (passed + 1, failed)
    print(f"tidy: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
