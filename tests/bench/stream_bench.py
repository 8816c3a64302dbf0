"""The streamer against a minimal sender and receivers (the ceiling), with as many processes.

"promises": the same sender, to receivers that give a file its name when it is whole and keep its
checksum, as the data server does. "copied": each frame is copied by put(); "given": it is sent from
the camera's own buffers (put_given()), as many as the queue of 256 MiB holds and all of them on their
way; "ring": the same from 128 buffers, or the 33 that the queue holds, as many cameras' drivers have.
A buffer comes back when it is stored.
"""
import contextlib
import json
import shutil
import subprocess
import threading
import time

import codec_bench
from measure import (BUILD, Workplace, build, print_table, receiver, rounds, skein_server,
                     warm_memory)

KIB, MIB = 1 << 10, 1 << 20
LOAD = BUILD / "tests/bench/bench-stream-load"
SECTIONS = ("rates", "small", "codecs", "sustained", "killed")
NODES = 3
QUEUE_BYTES = 256 * MIB  # of a streamer, which bench-stream-load fills before it measures


def load(mode, size, count, rate, prefix, ports, **options):
    done = subprocess.run([LOAD, mode, *map(str, (size, count, rate, prefix, *ports))],
                          stdout=subprocess.PIPE, **options)
    if not done.stdout:
        raise SystemExit(f"bench-stream-load {mode} measured nothing")
    return json.loads(done.stdout)


SERVERS = {"receiver": lambda root, _: receiver(root),
           "promises": lambda root, _: receiver(root, "--promises"), "skein": skein_server}


@contextlib.contextmanager
def running(place, kind, count=NODES):
    """So many receivers or data servers, each with a root of its own."""
    start = SERVERS[kind]
    servers = []
    try:
        for n in range(count):
            root = place / f"{kind}{n}"
            root.mkdir(exist_ok=True)
            servers.append(start(root, place / f"run{n}"))
            servers[-1].root = root
        yield servers
    finally:
        for server in servers:
            server.stop()


def ports(servers):
    return [server.port for server in servers]


# What is compared: who sends, to whom.
COMPETITORS = {"ceiling": ("bare", "receiver"), "promises": ("bare", "promises"),
               "given, to receivers": ("given", "receiver"), "skein, copied": ("copied", "skein"),
               "skein, given": ("given", "skein"), "skein, ring": ("ring", "skein")}


def rate_row(servers, kind, size, count, turns):
    def sample(name, turn):
        mode, whom = COMPETITORS[name]
        prefix = f"f{size}-{turn}-{mode}-{whom}"
        for server in servers[whom]:
            (server.root / prefix).mkdir()
        warm_memory(servers[whom][0].root, size * count + QUEUE_BYTES)
        got = load(mode, size, count, 0, prefix, ports(servers[whom]), check=True)
        for server in servers[whom]:
            if kind == "tmpfs":
                shutil.rmtree(server.root / prefix)
        return got["mb_per_s"]

    got = rounds(COMPETITORS, sample, turns)
    ceiling = got["ceiling"].median
    return [f"{size // KIB} KiB", *(got[name].text() for name in COMPETITORS),
            f"{got['given, to receivers'].median / ceiling:.2f}",
            f"{got['skein, copied'].median / ceiling:.2f}",
            f"{got['skein, given'].median / ceiling:.2f}",
            f"{got['skein, ring'].median / ceiling:.2f}", "0.90" if size == 8 * MIB else "0.75"]


def rate_rows(kind, quick):
    rows = []
    with Workplace(kind) as place, contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(running(place, name)) for name in SERVERS}
        fewer = 8 if kind == "disk" else 2 if quick else 1  # on the disk nothing is removed
        for size, count in ((8 * MIB, 250), (512 * KIB, 4000), (64 * KIB, 24000)):
            rows.append(rate_row(servers, kind, size, count // fewer, 5))
    print_table(f"Streaming to {NODES} nodes, {kind}: MB/s median (least-most)",
                ["frame", *COMPETITORS, "sending/ceiling", "copied/ceiling", "given/ceiling",
                 "ring/ceiling", "goal, given"],
                rows)


def small_rows(kind, quick):
    """Frames of 8 KiB to one node, per second of the client's CPU."""
    rows = []
    with Workplace(kind) as place, contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(running(place, name, 1)) for name in SERVERS}
        count = 20000 if quick else 60000
        for name, (mode, whom) in COMPETITORS.items():
            wall, cpu = [], []
            for turn in range(5):
                prefix = f"s{turn}-{mode}-{whom}"
                (servers[whom][0].root / prefix).mkdir()
                got = load(mode, 8 * KIB, count, 0, prefix, ports(servers[whom]), check=True)
                shutil.rmtree(servers[whom][0].root / prefix)
                wall.append(got["per_s"])
                cpu.append(got["per_cpu_s"])
            rows.append([name, f"{sorted(wall)[2]:.0f}", f"{sorted(cpu)[2]:.0f}", "50000"])
    print_table(f"Frames of 8 KiB, one node, {kind}: medians",
                ["sender", "frames/s", "frames per second of client CPU", "goal"], rows)


def paced(title, kind, seconds, share, disturb=None):
    """A camera at `share` of the rate just measured, for so long; stored frames are removed."""
    size = 8 * MIB
    with Workplace(kind) as place, running(place, "skein") as servers:
        with removing_old(servers, "measure"):
            warm_memory(place, NODES * FRAMES_LEFT * size)
            measured = load("live", size, 1500, 0, "measure", ports(servers), check=True)
        rate = measured["mb_per_s"] * 1e6 * share
        with removing_old(servers, "paced"), contextlib.ExitStack() as stack:
            if disturb:
                disturbing = threading.Thread(target=disturb, args=(servers, place))
                disturbing.start()
                stack.callback(disturbing.join)
            got = load("live", size, int(rate * seconds / size), rate, "paced", ports(servers))
    print_table(title, ["measured MB/s", "paced MB/s", "seconds", "frames", "lost", "offered again",
                        "least headroom s", "RSS MiB at 10 s", "at end"],
                [[f"{measured['mb_per_s']:.0f}", f"{rate / 1e6:.0f}", f"{got['seconds']:.1f}",
                  int(rate * seconds / size), got["lost"], got["offered_again"],
                  got["headroom_s"], got["early_mib"], got["late_mib"]]])


FRAMES_LEFT = 10  # of each node: nobody reads them, and they would fill the memory


@contextlib.contextmanager
def removing_old(servers, folder):
    stop = threading.Event()

    def remove():
        while not stop.wait(0.2):
            for server in servers:
                frames = sorted((server.root / folder).glob("*"), key=lambda f: int(f.name))
                for frame in frames[:-FRAMES_LEFT]:
                    frame.unlink()

    cleaner = threading.Thread(target=remove)
    cleaner.start()
    try:
        yield
    finally:
        stop.set()
        cleaner.join()


def kill_and_start(servers, place):
    time.sleep(10)
    victim = servers[1]
    victim.process.kill()
    victim.process.wait()
    time.sleep(10)
    again = skein_server(victim.root, place / "run1", "--port", victim.port)
    again.root = victim.root
    servers[1] = again


def main(quick, only=SECTIONS, on=None):
    build("dataserver/skein-dataserver", "tests/bench/bench-stream-load",
          "tests/bench/bench-receiver")
    for kind in [on] if on else ["tmpfs", "disk"]:
        if "rates" in only:
            rate_rows(kind, quick)
        if "small" in only:
            small_rows(kind, quick)
    if "codecs" in only:
        codec_bench.main(quick)
    if "sustained" in only:
        paced("Sustained at 80 %, tmpfs", "tmpfs", 10 if quick else 60, 0.8)
    if "killed" in only:
        paced("A node killed at second 10, back at 20, at 50 %, tmpfs", "tmpfs", 30, 0.5,
              kill_and_start)
