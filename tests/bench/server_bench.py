"""The data server against a minimal receiver (the ceiling), nginx with WebDAV PUT, and itself.

One table: a row per figure and reference, with the goal of each. Client and server share the
machine's cores, so the load generator's work is in every figure, also in the reference's.
"promises" is the ceiling of a server that, as the data server, gives a file its name when it is
whole and keeps its checksum: no goal, but what of the distance to the ceiling is that.
"""
import contextlib
import os
import secrets
import shutil
import socket

import server_listing
import server_memory
import server_sync
from measure import (GIB, KIB, MIB, Nginx, Table, Workplace, build, drop_pages, load, receiver,
                     rounds, skein_server, spread_subdirectories, warm_memory)

# Of the issue that asked for this server: the least ratio to the ceiling at 1 and 4 connections,
# and to nginx.
PUT_GOALS = {64 * KIB: {1: 0.75, 4: 0.8}, 8 * MIB: {1: 0.9, 4: 0.9}}
GET_GOALS = {64 * KIB: 0.8, 8 * MIB: 0.9, GIB: 0.9}
# Bodies of one sample: small enough that the disk is not asked to write during it.
PUT_COUNTS = {4 * KIB: 8000, 64 * KIB: 3000, 8 * MIB: 64}
GET_COUNTS = {64 * KIB: 10000, 8 * MIB: 200, GIB: 2}


def size_text(size):
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def competitors(place, names):
    """The named servers, each with a root of its own under `place`; yields (servers, roots)."""
    started, roots = {}, {}
    try:
        for name in names:
            roots[name] = place / name
            roots[name].mkdir(mode=0o777)
            spread_subdirectories(roots[name])
            if name == "nginx":
                started[name] = Nginx(roots[name], place / secrets.token_hex(8), free_port())
            elif name == "ceiling":
                started[name] = receiver(roots[name])
            elif name == "promises":
                started[name] = receiver(roots[name], "--promises")
            else:
                started[name] = skein_server(roots[name], place / "run")
        yield started, roots
    finally:
        for server in started.values():
            server.stop()


def put(table, kind, shrink):
    """PUT, pipelined: each sample writes the same bytes under the same names."""
    with Workplace(kind) as place, \
            competitors(place, ["ceiling", "promises", "skein", "nginx"]) as (servers, roots):
        for size, count in PUT_COUNTS.items():
            # Not on the disk: where nothing is asked for, ext4 alone would be measured.
            if kind == "tmpfs" or size in PUT_GOALS:
                for connections in (1, 4):
                    put_rows(table, kind, servers, roots, size, max(4, count // shrink),
                             connections)


def put_rows(table, kind, servers, roots, size, count, connections):
    def sample(name, turn):
        folder = roots[name] / secrets.token_hex(8)
        folder.mkdir()
        folder.chmod(0o777)
        warm_memory(roots[name], max(GIB, 2 * size * count))
        taken = load("put", "127.0.0.1", servers[name].port, folder.name, size, count, connections)
        if kind == "tmpfs":
            shutil.rmtree(folder)
        else:
            drop_pages(folder)  # its write-back would disturb the next sample
        return taken["mb_per_s"]

    got = rounds(servers, sample)
    what = f"PUT {size_text(size)}, {connections} conn."
    goal = PUT_GOALS.get(size, {}).get(connections)
    table.ratio(kind, what, "MB/s", got, "ceiling", goal)
    table.ratio(kind, what, "MB/s", got, "promises", None)
    table.ratio(kind, what, "MB/s", got, "nginx", goal and 1.0)


def get(table, kind, shrink):
    with Workplace(kind) as place:
        with competitors(place, ["nginx", "skein"]) as (servers, roots):
            for size in GET_COUNTS:
                for root in roots.values():
                    (root / f"f{size}").write_bytes(b"x" * size)
            os.sync()
            for size, count in GET_COUNTS.items():
                for connections in (1, 4):
                    count = max(connections, count // shrink)
                    got = rounds(servers, lambda name, _: load(
                        "get", "127.0.0.1", servers[name].port, f"f{size}", count,
                        connections)["mb_per_s"])
                    table.ratio(kind, f"GET {size_text(size)}, {connections} conn.", "MB/s", got,
                                "nginx", GET_GOALS[size])


BOTH = ("tmpfs", "disk")
# Section: what measures it, and where it can.
SECTIONS = {
    "put": (put, BOTH),
    "get": (get, BOTH),
    "listing": (server_listing.listing, ("disk",)),
    "million": (server_listing.million, ("disk",)),
    "memory": (server_memory.memory, ("disk",)),
    "sync": (server_sync.sync, ("disk",)),
}


def main(quick, only=(), on=None, as_json=False):
    build("dataserver/skein-dataserver", "tests/bench/bench-load", "tests/bench/bench-receiver")
    table = Table("Data server: median (least-most)", as_json)
    for name in only or SECTIONS:
        measure, kinds = SECTIONS[name]
        for kind in kinds:
            if on in (None, kind):
                measure(table, kind, 4 if quick else 1)
    table.print()
