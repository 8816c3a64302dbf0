"""Listings of large directories against a bare getdents + statx loop."""
import json
import re
import subprocess
import urllib.request

from measure import MIB, Figures, Workplace, load, skein_server

FILES = 100_000
MANY = 1_000_000
ENTRY_BYTES = 200  # resident memory a cached entry may cost, beside 64 MiB


def make_files(directory, count):
    directory.mkdir(parents=True)
    for n in range(count):
        (directory / f"frame{n:07d}.pzf").touch()


def get_seconds(port):
    """What the server itself counted: (seconds spent on GETs, their number)."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/__metrics").read().decode()
    return [float(re.search(rf'^skein_request_seconds_{key}{{verb="GET"}} (\S+)$', text, re.M)[1])
            for key in ("sum", "count")]


def ask(server, count, etag=None):
    return load("ask", "127.0.0.1", server.port, "d/", count, *([etag] if etag else []))


def listing(table, kind, shrink):
    got = {name: Figures() for name in ("scan", "first", "etag", "inside", "after")}
    with Workplace(kind) as place:
        root = place / "root"
        make_files(root / "d", FILES // shrink)
        load("scan", root / "d")  # the first walk of all finds nothing in memory
        for turn in range(5):
            server = skein_server(root, place / "run")
            try:
                if turn % 2:
                    got["scan"].add(load("scan", root / "d")["ms"])
                got["first"].add(ask(server, 1)["ms"][0])
                if not turn % 2:
                    got["scan"].add(load("scan", root / "d")["ms"])
                url = f"http://127.0.0.1:{server.port}/d/"
                etag = urllib.request.urlopen(url).headers["ETag"]
                before = get_seconds(server.port)
                asked = ask(server, 50, etag)
                seconds, count = (later - earlier for later, earlier in
                                  zip(get_seconds(server.port), before))
                got["inside"].add(1000 * seconds / count)
                if asked["bytes"] != 0:
                    raise SystemExit("an unchanged directory came with a body")
                for ms in asked["ms"]:
                    got["etag"].add(ms)
                subprocess.run(["curl", "-sfT", "-", f"{url}more{turn}"], input=b"x", check=True)
                got["after"].add(ask(server, 1)["ms"][0])
            finally:
                server.stop()
    what = f"listing of {FILES // shrink}"
    table.at_most(kind, f"{what}, first", "ms", got["first"], "getdents+statx", got["scan"], 1.5)
    table.bound(kind, f"{what}, unchanged: server time", "ms", got["inside"], 1)
    table.bound(kind, f"{what}, unchanged: round trip, no body", "ms", got["etag"], None)
    table.at_most(kind, f"{what}, after one PUT", "ms", got["after"], "first", got["first"], 0.1)


def million(table, kind, shrink):
    """Resident memory per cached entry; the answer must be whole."""
    count = MANY // shrink
    with Workplace(kind) as place:
        root = place / "root"
        make_files(root / "d", count)
        server = skein_server(root, place / "run")
        try:
            first, resident = Figures(), Figures()
            first.add(ask(server, 1)["ms"][0])
            resident.add(server.resident_bytes(peak=True) / MIB)
            again = Figures()
            for ms in ask(server, 5)["ms"]:
                again.add(ms)
            # After the memory was read: this is one more buffer of the whole answer.
            listed = json.load(urllib.request.urlopen(f"http://127.0.0.1:{server.port}/d/"))
            if len(listed) != count:
                raise SystemExit(f"the listing names {len(listed)} files instead of {count}")
        finally:
            server.stop()
    what = f"listing of {count}"
    table.bound(kind, f"{what}, first", "ms", first, None)
    table.bound(kind, f"{what}, again", "ms", again, None)
    table.bound(kind, f"{what}, peak resident", "MiB", resident, 64 + ENTRY_BYTES * count / MIB)
