"""The mount against the disk's own filesystem (native) and mergerfs over folders of the same disk.

Sections, each some minutes at most: sequential, random, create, remote, list, find,
series, memory.
Rows say whether the page cache or the disk is measured: 1 GiB fits into the page cache, so writes
and warm reads are the page cache's; cold reads come from the disk.
"""
import os
import shutil
import subprocess
import threading
import time

from measure import Figures, Workplace, build, load, print_table, rounds, warm_memory
from mount_room import (GIB, HEADER, KIB, MIB, drop_caches, files, fresh_ext4, remove, room, row,
                        skein_mount)


def sequential(quick):
    size = (256 * MIB) if quick else GIB
    mounts = {"skein": [], "callbacks": ["--no-passthrough"]}
    with Workplace("disk") as place, room(place, 1, mounts) as (folders, _):
        def write(name, turn):
            os.sync()  # what the disk still has to write would slow the next writer
            warm_memory(place, size + size // 2)
            speed = files("write", folders[name] / f"{name}{turn}", size)["mb_per_s"]
            if turn > 0:
                remove(place, f"{name}{turn}")
            return speed

        def read(name, _):
            files("read", folders[name] / f"{name}0")
            return files("read", folders[name] / f"{name}0")["mb_per_s"]

        def read_cold(name, _):
            drop_caches()
            return files("read", folders[name] / f"{name}0")["mb_per_s"]

        wrote = rounds(folders, write, 9)
        os.sync()
        warm = rounds(folders, read)
        cold = rounds(folders, read_cold)
    print_table(f"Sequential, {size // MIB} MiB, ext4: MB/s median (least-most)", HEADER, [
        row("write, page cache, passthrough", wrote, "0.95 of native"),
        row("write, page cache, no passthrough", wrote, "-", "callbacks"),
        row("read, page cache, passthrough", warm, "0.95 of native"),
        row("read, page cache, no passthrough", warm, "0.95 of native", "callbacks"),
        row("read, cold disk, passthrough", cold, "-"),
        row("read, cold disk, no passthrough", cold, "0.6 of native", "callbacks")])


def random(quick):
    size, count = 256 * MIB, 100000 if quick else 500000
    mounts = {"skein": [], "callbacks": ["--no-passthrough"]}
    with Workplace("disk") as place, room(place, 1, mounts) as (folders, _):
        for name, folder in folders.items():
            files("write", folder / name, size)
            files("read", folder / name)
        got = rounds(folders, lambda name, _: files("random", folders[name] / name, count)["per_s"])
    print_table("4 KiB random reads, page cache: reads/s median (least-most)", HEADER, [
        row("passthrough", got, "0.9 of native"),
        row("no passthrough", got, "-", "callbacks")])


def create(quick):
    goals = {64 * KIB: (2000, "0.5 of native, ahead of mergerfs"),
             8 * MIB: (50 if quick else 200, "0.9 of native, ahead of mergerfs")}
    rows = []
    with Workplace("disk") as disk, fresh_ext4(disk) as whole:
        for size, (count, goal) in goals.items():
            # Of large files the node is asked too seldom to show how many there are.
            for nodes in (1, 3) if size < MIB else (1,):
                place = whole / f"{size}-{nodes}"
                place.mkdir()
                with room(place, nodes, {"skein": []}) as (folders, _):
                    def sample(name, turn):
                        folder = folders[name] / f"{name}{turn}"
                        folder.mkdir()
                        warm_memory(place, 3 * size * count if size < MIB else 3 * GIB)
                        taken = files("create", folder, size, count)["per_s"]
                        if size < MIB:
                            os.sync()
                        else:
                            remove(place, folder.name)
                        return taken

                    got = rounds(folders, sample)
                rows.append(row(f"{size // KIB} KiB x {count}, nodes on this host: {nodes}", got,
                                goal))
    print_table("Create, write, close, page cache of ext4: files/s median (least-most)", HEADER, rows)


def curl_get(url):
    done = subprocess.run(["curl", "-sfo", "/dev/null", "-w", "%{speed_download}", url], check=True,
                          stdout=subprocess.PIPE)
    return float(done.stdout) / 1e6


def curl_put(url, body):
    done = subprocess.run(["curl", "-sfT", body, "-w", "%{speed_upload}", url], check=True,
                          stdout=subprocess.PIPE)
    return float(done.stdout) / 1e6


def remote(quick):
    size = (256 * MIB) if quick else GIB
    with (Workplace("tmpfs") as place,
          room(place, 1, {"skein": ["--no-bypass"]}, mergerfs=False) as (folders, servers)):
        url = f"http://127.0.0.1:{servers[0].port}/"
        mount = folders["skein"]
        body = place / "body"
        files("write", body, size)
        shutil.copy(body, place / "node0" / "big")

        def read(name, _):
            if name == "curl":
                return curl_get(url + "big")
            if name == "first":
                with (mount / "big").open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return files("read", mount / "big")["mb_per_s"]

        def write(name, turn):
            warm_memory(place, 3 * size)
            if name == "curl":
                return curl_put(f"{url}put{turn}", body)
            speed = files("write", mount / f"put-{turn}", size)["mb_per_s"]
            return speed

        got = rounds(["curl", "first", "again"], read)

        def write_and_remove(name, turn):
            speed = write(name, turn)
            for stored in (place / "node0").glob("put*"):
                stored.unlink()
            return speed

        wrote = rounds(["curl", "mount"], write_and_remove)
    rows = [["read", got["curl"].text(), got["first"].text(),
             f"{got['first'].median / got['curl'].median:.2f}", "0.8"],
            ["read again, page cache", got["curl"].text(), got["again"].text(),
             f"{got['again'].median / got['curl'].median:.2f}", "page cache"],
            ["write with close", wrote["curl"].text(), wrote["mount"].text(),
             f"{wrote['mount'].median / wrote['curl'].median:.2f}", "0.7"]]
    print_table(f"Remote, HTTP over loopback, {size // MIB} MiB, node and spool on tmpfs: MB/s median "
                "(least-most)", ["what", "curl", "mount", "mount/curl", "goal"], rows)


def touch_all(folder, count):
    for n in range(count):
        (folder / f"frame{n:07d}.pzf").touch()


def ratio_row(what, native, skein, goal):
    return [what, native.text(), skein.text(), f"{skein.median / native.median:.2f}", goal]


LIST_HEADER = ["what", "native", "skein", "skein/native", "goal"]


def listing(quick):
    """A cold listing: all caches dropped, a server and a mount that never saw the directory."""
    count = 20000 if quick else 100000
    what = ["first", "cold", "second", "stat"]
    native, skein = ({key: Figures() for key in what} for _ in range(2))
    with Workplace("disk") as place:
        for name in ("native", "node0"):
            (place / name / "d").mkdir(parents=True)
            touch_all(place / name / "d", count)
        for turn in range(5):
            with room(place, 1, {f"skein{turn}": []}, mergerfs=False) as (folders, _):
                for figures, folder in ((native, "native"), (skein, f"skein{turn}")):
                    at = folders[folder] / "d"
                    drop_caches()
                    cold = files("list", at)
                    assert cold["entries"] == count
                    figures["first"].samples.append(cold["first_ms"])
                    figures["cold"].samples.append(cold["ms"])
                    figures["second"].samples.append(files("list", at)["ms"])
                    figures["stat"].samples.append(files("stat", at, 5)["per_s"])
    print_table(f"ls -l of {count} files, ext4: ms; stat storm: calls/s; median (least-most)",
                LIST_HEADER, [
                    ratio_row("first entries, cold", native["first"], skein["first"], "300 ms"),
                    ratio_row("whole, cold", native["cold"], skein["cold"], "3 x native"),
                    ratio_row("second", native["second"], skein["second"], "1.5 x native"),
                    ratio_row("stat of each, warm", native["stat"], skein["stat"],
                              "0.8 of native")])


def find(quick):
    folders_count, count = (100 if quick else 1000), 100

    def walk(folder):
        start = time.monotonic()
        found = subprocess.run(["find", folder, "-type", "f", "-printf", "x"], check=True,
                               stdout=subprocess.PIPE).stdout
        assert len(found) == folders_count * count
        return (time.monotonic() - start) * 1e3

    with Workplace("disk") as place:
        for name in ("native", "node0"):
            for n in range(folders_count):
                (place / name / f"d/d{n}").mkdir(parents=True)
                touch_all(place / name / f"d/d{n}", count)
        with room(place, 1, {"skein": []}, mergerfs=False) as (folders, _):
            for folder in folders.values():
                walk(folder / "d")
            got = rounds(folders, lambda name, _: walk(folders[name] / "d"))
    print_table(f"find over {folders_count} directories of {count} files, warm, ext4: ms median "
                "(least-most)", LIST_HEADER,
                [ratio_row("find -type f", got["native"], got["skein"], "2 x native")])


class Watcher(threading.Thread):
    """Lists and reads a series while it grows, through the mount, until it is told to stop."""

    def __init__(self, folder, server_folder, reads):
        super().__init__()
        self.folder, self.server_folder, self.reads = folder, server_folder, reads
        self.done = threading.Event()
        self.errors, self.rounds, self.oldest_s = [], 0, 0.0

    def run(self):
        while not self.done.is_set():
            try:
                self.read() if self.reads else self.list()
                self.rounds += 1
            except OSError as why:
                self.errors.append(str(why))
            # As a person's program would: a loop without pause only measures who gets the cores.
            self.done.wait(0.05 if self.reads else 0.2)

    def list(self):
        began = time.time()
        seen = set(subprocess.run(["ls", "-U", self.folder], stdout=subprocess.PIPE,
                                  check=True).stdout.decode().split())
        with os.scandir(self.server_folder) as entries:
            for entry in entries:
                if entry.name not in seen:
                    # st_ctime: when the name appeared.
                    self.oldest_s = max(self.oldest_s, began - entry.stat().st_ctime)

    def read(self):
        names = os.listdir(self.folder)
        for name in names[-20:]:
            if len((self.folder / name).read_bytes()) != Watcher.FRAME:
                raise OSError(f"{name} is cut short")

    FRAME = 16 * KIB


def series(quick):
    count = 5000 if quick else 30000
    speeds = {"alone": Figures(), "watched": Figures()}
    errors, listings, reads, oldest_s = [], 0, 0, 0.0
    with Workplace("disk") as place, room(place, 1, {"skein": []}, mergerfs=False) as (folders,
                                                                                       servers):
        for turn in range(6):
            kind = "watched" if turn % 2 else "alone"
            name = f"s{turn}"
            (place / "node0" / name).mkdir(mode=0o777)
            watchers = []
            if turn % 2:
                watchers = [Watcher(folders["skein"] / name, place / "node0" / name, reads)
                            for reads in (False, True, True)]
            warm_memory(place, GIB)
            for watcher in watchers:
                watcher.start()
            taken = load("put", "127.0.0.1", servers[0].port, name, Watcher.FRAME, count, 1)
            for watcher in watchers:
                watcher.done.set()
                watcher.join()
                errors += watcher.errors
                oldest_s = max(oldest_s, watcher.oldest_s)
                listings += 0 if watcher.reads else watcher.rounds
                reads += watcher.rounds if watcher.reads else 0
            speeds[kind].samples.append(taken["per_s"])
            os.sync()
    loss = 1 - speeds["watched"].median / speeds["alone"].median
    print_table(f"Series of {count} frames of {Watcher.FRAME // KIB} KiB, pipelined PUTs into one "
                "directory, while ls loops (each 0.2 s) and two read: frames/s median (least-most)",
                ["alone", "watched", "loss", "listings", "reads of 20", "read errors",
                 "oldest name not listed", "goal"],
                [[speeds["alone"].text(), speeds["watched"].text(), f"{loss:.0%}", listings, reads,
                  len(errors), f"{oldest_s:.1f} s", "loss < 20%, 0 errors, 3 s"]])
    if errors:
        print("first error:", errors[0])


def memory(quick):
    count = 100000 if quick else 1000000
    with Workplace("disk") as place:
        (place / "node0" / "d").mkdir(parents=True)
        touch_all(place / "node0" / "d", count)
        with room(place, 1, {}, mergerfs=False) as (_, servers):
            # A node that has listed none of so many names yet needs more than the default of 5 s.
            mount = skein_mount(place, "skein", servers, "-o", "deadline_ms=60000")
            began = time.monotonic()
            seen = files("list", mount.point / "d")
            took_s = time.monotonic() - began
            figures = [seen["entries"], f"{seen['first_ms']:.0f} ms", f"{took_s:.1f} s",
                       mount.resident_bytes("RssAnon") // MIB, mount.resident_bytes("VmRSS") // MIB,
                       mount.resident_bytes("VmHWM") // MIB]
            mount.stop()
    print_table("Memory of the mount after ls -l of one directory (LMDB's pages are the page "
                "cache's, mapped)", ["entries seen", "first", "whole", "own MiB", "resident MiB",
                                     "peak MiB", "goal"], [[*figures, "< 300 MiB"]])


SECTIONS = {"sequential": sequential, "random": random, "create": create, "remote": remote,
            "list": listing, "find": find, "series": series, "memory": memory}


def main(quick, only=()):
    build("dataserver/skein-dataserver", "fuse/skein-mount", "tests/bench/bench-load",
          "tests/bench/bench-files")
    for section in only or SECTIONS:
        SECTIONS[section](quick)
