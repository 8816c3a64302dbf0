"""The server's memory while large bodies arrive, and that they arrive whole."""
import os
import shutil
import subprocess

from measure import GIB, MIB, Figures, Workplace, skein_server

MOST_MIB = 256


def memory(table, kind, shrink):
    with Workplace(kind) as place:
        for size, count in ((4 * GIB // shrink, 1), (256 * MIB // shrink, 64)):
            root = place / str(count)
            root.mkdir()
            server = skein_server(root, place / "run")
            try:
                put_big(place / "body", server.port, size, count)
                peak = Figures()
                peak.add(server.resident_bytes(peak=True) / MIB)
            finally:
                server.stop()
            what = f"PUT {count} of {size // MIB} MiB at once, peak resident"
            table.bound(kind, what, "MiB", peak, MOST_MIB)
            shutil.rmtree(root)


def put_big(body, port, size, count):
    """Sparse files as bodies: the sender's memory does not matter here."""
    with body.open("wb") as f:
        f.truncate(size)
    url = f"http://127.0.0.1:{port}/big"
    sends = [subprocess.Popen(["curl", "-sfT", str(body), f"{url}{n}"], stdout=subprocess.DEVNULL)
             for n in range(count)]
    if any([send.wait() for send in sends]):
        raise SystemExit("a big PUT failed")
    for n in range(count):
        got = os.stat(body.parent / str(count) / f"big{n}").st_size
        if got != size:
            raise SystemExit(f"big{n} has {got} bytes instead of {size}")
