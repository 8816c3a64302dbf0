"""What `--sync publish` costs, that many writers share one flush, and what the disk could do."""
import os

from measure import KIB, Workplace, load, rounds, skein_server
from mount_room import fresh_ext4

SIZE = 64 * KIB
# Of one sample: a disk that takes some hundred MB at once and less from then on is measured before.
FILES = {1: 200, 32: 960}
SAMPLES = 7
GROUP_GOAL = 8  # 32 writers to one


def sync(table, kind, shrink):
    """On the disk as it is, and on a filesystem with a journal that has not deleted anything, as
    laboratories have: see fresh_ext4()."""
    with Workplace(kind) as place:
        sync_on(table, kind, place, shrink)
        if os.geteuid() == 0:
            with fresh_ext4(place) as fresh:
                sync_on(table, "fresh ext4", fresh, shrink)


def sync_on(table, where, place, shrink):
    """Writers here wait for each reply. The modes and numbers of writers take turns."""
    servers = {}
    try:
        for mode in ("none", "publish"):
            (place / mode).mkdir()
            servers[mode] = skein_server(place / mode, place / "run", "--sync", mode)

        def sample(case, turn):
            mode, writers = case
            if mode == "disk":
                return load("flushes", place / f"raw{writers}-{turn}", SIZE,
                            FILES[writers] // shrink, writers)["per_s"]
            return load("writers", "127.0.0.1", servers[mode].port, f"w{writers}-{turn}", SIZE,
                        FILES[writers] // shrink, writers)["per_s"]

        got = rounds([(mode, writers) for writers in FILES for mode in (*servers, "disk")], sample,
                     SAMPLES)
    finally:
        for server in servers.values():
            server.stop()
    for writers in FILES:
        pair = {"skein": got["publish", writers], "--sync none": got["none", writers]}
        table.ratio(where, f"PUT 64 KiB, --sync publish, {writers} waiting writers", "files/s", pair,
                    "--sync none", None)
        pair = {"skein": got["publish", writers], "bare loop": got["disk", writers]}
        table.ratio(where, f"the same, and {writers} files by two flushes", "files/s", pair,
                    "bare loop", None)
    pair = {"skein": got["disk", 32], "1 by two flushes": got["disk", 1]}
    table.ratio(where, "bare loop, 32 files by two flushes", "files/s", pair, "1 by two flushes", None)
    pair = {"skein": got["publish", 32], "1 writer": got["publish", 1]}
    table.ratio(where, "PUT 64 KiB, --sync publish, 32 waiting writers", "files/s", pair, "1 writer",
                GROUP_GOAL)
