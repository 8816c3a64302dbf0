"""The data server against a minimal receiver (the ceiling) and nginx with WebDAV PUT."""
import contextlib
import shutil
import socket
import subprocess
import urllib.request

from measure import (Nginx, Workplace, build, load, print_table, receiver, rounds,
                     skein_server, warm_memory)

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(servers):
    try:
        yield servers
    finally:
        for server in servers.values():
            server.stop()


def competitors(place, names):
    """Starts the named servers, each with a root of its own under `place`."""
    started, roots = {}, {}
    for name in names:
        roots[name] = place / name
        roots[name].mkdir(mode=0o777)
        if name == "nginx":
            started[name] = Nginx(roots[name], place / "nginx-work", free_port())
        elif name == "ceiling":
            started[name] = receiver(roots[name])
        else:
            started[name] = skein_server(roots[name], place / "run")
    return started, roots


def put_rows(kind, quick):
    """PUT, pipelined: each sample writes the same bytes into a fresh directory."""
    shapes = [(4 * KIB, 20000), (64 * KIB, 8000), (512 * KIB, 1000), (8 * MIB, 64)]
    if kind == "tmpfs":
        shapes.append((256 * MIB, 4))
    rows = []
    with Workplace(kind) as place:
        servers, roots = competitors(place, ["ceiling", "skein", "nginx"])
        with running(servers):
            for connections in (1, 4):
                for size, count in shapes:
                    count = max(connections, count // (4 if quick else 1))
                    rows.append(put_row(servers, roots, kind, size, count, connections))
    print_table(f"PUT, pipelined, {kind}: MB/s median (least-most)",
                ["body", "conns", "ceiling", "skein", "nginx", "skein/ceiling", "skein/nginx"], rows)


def put_row(servers, roots, kind, size, count, connections):
    def sample(name, turn):
        # Fresh directories: after mass deletes, creates in the same group cost 0.5-1 ms.
        prefix = f"put-{size}-{connections}-{turn}"
        (roots[name] / prefix).mkdir()
        (roots[name] / prefix).chmod(0o777)
        warm_memory(min(size * count, GIB))
        taken = load("put", "127.0.0.1", servers[name].port, prefix, size, count, connections)
        if kind == "tmpfs":
            shutil.rmtree(roots[name] / prefix)
        return taken["mb_per_s"]

    got = rounds(servers, sample)
    skein = got["skein"].median
    return [f"{size // KIB} KiB", connections, *(got[name].text() for name in servers),
            f"{skein / got['ceiling'].median:.2f}", f"{skein / got['nginx'].median:.2f}"]


def get_rows(kind, quick):
    rows = []
    with Workplace(kind) as place:
        servers, roots = competitors(place, ["nginx", "skein"])
        for size in (64 * KIB, 8 * MIB, GIB):
            for root in roots.values():
                (root / f"f{size}").write_bytes(b"x" * size)
        with running(servers):
            for connections in (1, 4):
                for size, count in ((64 * KIB, 20000), (8 * MIB, 400), (GIB, 4)):
                    count = max(connections, count // (4 if quick else 1))
                    got = rounds(servers, lambda name, _: load(
                        "get", "127.0.0.1", servers[name].port, f"f{size}", count,
                        connections)["per_s"])
                    rows.append([f"{size // KIB} KiB", connections,
                                 got["nginx"].text(), got["skein"].text(),
                                 f"{got['skein'].median / got['nginx'].median:.2f}"])
    print_table(f"GET, kept connections, {kind}: requests/s median (least-most)",
                ["file", "conns", "nginx", "skein", "skein/nginx"], rows)


def listing_rows(entries):
    """First listing against getdents + statx, unchanged by ETag, and after one more PUT."""
    samples = {"scan": [], "first": [], "etag": [], "one more": []}
    resident = 0
    with Workplace("disk") as place:
        root = place / "root"
        (root / "d").mkdir(parents=True)
        for n in range(entries):
            (root / "d" / f"frame{n:07d}.pzf").touch()
        for turn in range(5):
            server = skein_server(root, place / "run")
            with running({"skein": server}):
                # Taking turns who comes first: the first walk may find a colder dentry cache.
                if turn % 2:
                    samples["scan"].append(load("scan", root / "d")["ms"])
                first = load("ask", "127.0.0.1", server.port, "d/", 1)
                samples["first"].append(first["ms"][0])
                if not turn % 2:
                    samples["scan"].append(load("scan", root / "d")["ms"])
                url = f"http://127.0.0.1:{server.port}/d/"
                etag = urllib.request.urlopen(url).headers["ETag"]
                asked = load("ask", "127.0.0.1", server.port, "d/", 20, etag)
                assert asked["bytes"] == 0, "an unchanged directory came with a body"
                samples["etag"] += asked["ms"]
                subprocess.run(["curl", "-sfT", "-", f"{url}more{turn}"], input=b"x", check=True)
                after = load("ask", "127.0.0.1", server.port, "d/", 1)
                samples["one more"].append(after["ms"][0])
                resident = max(resident, server.resident_bytes(peak=True))
    medians = {name: sorted(values)[len(values) // 2] for name, values in samples.items()}
    print_table(f"Listing of {entries} files, disk: ms median",
                ["getdents+statx", "first", "first/scan", "by ETag", "after one PUT", "of first",
                 "peak RSS MiB"],
                [[f"{medians['scan']:.1f}", f"{medians['first']:.1f}",
                  f"{medians['first'] / medians['scan']:.2f}", f"{medians['etag']:.3f}",
                  f"{medians['one more']:.1f}", f"{medians['one more'] / medians['first']:.2f}",
                  resident // MIB]])


def memory_rows():
    rows = []
    with Workplace("disk") as place:
        for title, size, count in (("one of 4 GiB", 4 * GIB, 1),
                                   ("64 at once of 256 MiB", 256 * MIB, 64)):
            root = place / title.replace(" ", "-")
            root.mkdir()
            server = skein_server(root, place / "run")
            with running({"skein": server}):
                put_big(server.port, size, count)
                rows.append([title, server.resident_bytes(peak=True) // MIB])
            shutil.rmtree(root)
    print_table("Memory while receiving, disk: peak RSS", ["PUT", "MiB"], rows)


def put_big(port, size, count):
    """Sparse files as bodies: the sender's memory does not matter here."""
    with Workplace("disk") as place:
        body = place / "body"
        with body.open("wb") as f:
            f.truncate(size)
        url = f"http://127.0.0.1:{port}/big"
        sends = [subprocess.Popen(["curl", "-sfT", str(body), f"{url}{n}"]) for n in range(count)]
        if any(send.wait() for send in sends):
            raise SystemExit("a big PUT failed")


def sync_rows(quick):
    """What --sync publish costs, and that many writers share one flush."""
    rows = []
    with Workplace("disk") as place:
        for mode in ("none", "publish"):
            root = place / mode
            root.mkdir()
            server = skein_server(root, place / "run", "--sync", mode)
            with running({mode: server}):
                rate = {}
                for writers in (1, 32):
                    count = (320 if quick else 1600) * (1 if writers == 1 else 8)
                    got = rounds([mode], lambda name, turn: load(
                        "writers", "127.0.0.1", server.port, f"w{writers}-{turn}", 64 * KIB, count,
                        writers)["per_s"])
                    rate[writers] = got[mode]
                rows.append([mode, rate[1].text(), rate[32].text(),
                             f"{rate[32].median / rate[1].median:.1f}"])
    print_table("Durable acknowledgement, 64 KiB files, disk: files/s median",
                ["--sync", "1 writer", "32 writers", "32/1"], rows)


def main(quick):
    build("dataserver/skein-dataserver", "tests/bench/bench-load", "tests/bench/bench-receiver")
    for kind in ("tmpfs", "disk"):
        put_rows(kind, quick)
        get_rows(kind, quick)
    listing_rows(20000 if quick else 100000)
    if not quick:
        listing_rows(1000000)
        memory_rows()
    sync_rows(quick)
