"""What `--sync publish` costs, that many writers share one flush, and what the disk could do."""
from measure import KIB, Workplace, load, rounds, skein_server

SIZE = 64 * KIB
FILES = {1: 200, 32: 3200}  # of one sample
GROUP_GOAL = 8  # 32 writers to one


def sync(table, kind, shrink):
    """Writers here wait for each reply. The modes and numbers of writers take turns."""
    with Workplace(kind) as place:
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

            got = rounds([(mode, writers) for writers in FILES for mode in (*servers, "disk")],
                         sample)
        finally:
            for server in servers.values():
                server.stop()
    for writers in FILES:
        pair = {"skein": got["publish", writers], "--sync none": got["none", writers]}
        table.ratio(kind, f"PUT 64 KiB, --sync publish, {writers} waiting writers", "files/s", pair,
                    "--sync none", None)
        pair = {"skein": got["publish", writers], "bare loop": got["disk", writers]}
        table.ratio(kind, f"the same, and {writers} files by two flushes", "files/s", pair,
                    "bare loop", None)
    pair = {"skein": got["disk", 32], "1 by two flushes": got["disk", 1]}
    table.ratio(kind, "bare loop, 32 files by two flushes", "files/s", pair, "1 by two flushes", None)
    pair = {"skein": got["publish", 32], "1 writer": got["publish", 1]}
    table.ratio(kind, "PUT 64 KiB, --sync publish, 32 waiting writers", "files/s", pair, "1 writer",
                GROUP_GOAL)
