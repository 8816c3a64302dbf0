#!/usr/bin/python3
"""Power cut under a data server on a disk that drops what was not flushed (volatile_disk.cc under a
loop device, ext4 on it).

After each cut, with --sync publish: every acknowledged file is whole and equal, and nothing else
visible is partial. With --sync none: what is served is whole and equal; the rest is refused.

usage: tests/faults/power_cut.py [--rounds N] [--seed S] [--sync none|publish]
exit status: 0 all rounds held; 1 a promise was broken; 2 wrong usage; 77 needs root, loop devices
and FUSE
"""
import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
from harness import BUILD, Server, eventually  # noqa: E402
from writers import LaneWriter, PipelineWriter, PutWriter, StageWriter, expected, judge  # noqa: E402

DISK_BYTES = 512 << 20


def run(*command, check=True):
    return subprocess.run([str(word) for word in command], check=check, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


class VolatileDisk:
    """Backing file, the file system that forgets, loop device, ext4: from power-on to power-off."""

    def __init__(self, place, seed):
        self.backing, self.under = place / "backing.img", place / "under"
        self.mount = place / "disk"
        self.under.mkdir(exist_ok=True)
        self.mount.mkdir(exist_ok=True)
        fresh = not self.backing.exists()
        if fresh:
            with self.backing.open("wb") as f:
                f.truncate(DISK_BYTES)
        self.process = subprocess.Popen([BUILD / "tests/faults/volatile-disk", self.backing,
                                         self.under, str(seed)])
        eventually((self.under / "disk").exists, what="volatile disk")
        self.loop = run("losetup", "-f", "--show", self.under / "disk")
        if fresh:
            run("mkfs.ext4", "-q", self.loop)
        # The journal soon knows names whose bytes are still to be written: what --sync none risks.
        run("mount", "-o", "commit=1", self.loop, self.mount)

    def cut(self):
        self.process.send_signal(signal.SIGUSR1)

    def off(self):
        run("umount", "-l", self.mount, check=False)
        run("losetup", "-d", self.loop, check=False)
        run("umount", "-l", self.under, check=False)
        self.process.wait(20)


def served_wrong(server, names):
    """Problems of what a server serves after a cut, and how many files it refused as torn."""
    problems, refused = [], 0
    for name in names:
        reply = server.get("/" + name)
        refused += reply.status == 500
        if reply.status == 200 and reply.body != expected(name):
            problems.append(f"{name}: {len(reply.body)} bytes served as good")
    return problems, refused


def one_round(place, pick, number, sync):
    disk = VolatileDisk(place, pick.randrange(1 << 31))
    root, run_dir = disk.mount / "root", place / "run"
    root.mkdir(exist_ok=True)
    run_dir.mkdir(exist_ok=True)
    env = {"SKEIN_RUN_DIR": str(run_dir), "SKEIN_CONFIG": ""}
    try:
        server = Server(root, env=env, args=["--sync", sync])
        writers = [PutWriter(server, f"put{number}"), StageWriter(server, f"stage{number}"),
                   PipelineWriter(server, f"pipe{number}"),
                   LaneWriter(server, f"lane{number}", str(run_dir / f"{server.id}.sock"))]
        for writer in writers:
            writer.start()
        threading.Event().wait(pick.uniform(0.05, 1.5) + (1.2 if sync == "none" else 0))
        # Only what was acknowledged before the cut is promised.
        names = [name for w in writers for name in list(w.acknowledged)]
        disk.cut()
        server.stop(sig=signal.SIGKILL)
        for writer in writers:
            writer.join(30)
    finally:
        disk.off()

    disk = VolatileDisk(place, 0)
    try:
        server = Server(disk.mount / "root", env=env, args=["--sync", sync])
        problems, refused = served_wrong(server, names)
        for name in pick.sample(names, min(20, len(names))) if sync == "publish" else []:
            reply = server.get("/" + name)
            if reply.status != 200 or reply.body != expected(name):
                problems.append(f"{name}: served with {reply.status}, {len(reply.body)} bytes")
        server.stop()
        if sync == "publish":
            problems += judge(disk.mount / "root", set(names))
    finally:
        disk.off()
    return len(names), refused, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--sync", choices=["none", "publish"], default="publish")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control") or not os.path.exists("/dev/fuse"):
        print("SKIP: power cuts need root, loop devices and /dev/fuse")
        return 77
    print(f"power cut: seed={arguments.seed} rounds={arguments.rounds} sync={arguments.sync}", flush=True)
    pick = random.Random(arguments.seed)
    acknowledged = refused = 0
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="skein-power-") as place:
            count, torn, problems = one_round(pathlib.Path(place), pick, number, arguments.sync)
        acknowledged += count
        refused += torn
        if problems:
            print(f"round {number}: {len(problems)} problems\n  " + "\n  ".join(problems[:20]))
            return 1
    kept = "none lost, none partial" if arguments.sync == "publish" else \
        f"{refused} torn and refused, none served partial"
    print(f"power cut: {arguments.rounds} rounds, {acknowledged} acknowledged files, {kept}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
