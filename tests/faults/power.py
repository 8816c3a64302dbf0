"""What the power cut tests share: a disk that forgets, and one life of a server on it."""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e")]
from harness import BUILD, Server, eventually  # noqa: E402

DISK_BYTES = 512 << 20


def not_here():
    """Why no power can be cut here, or None."""
    wanted = ("/dev/loop-control", "/dev/fuse")
    if os.geteuid() == 0 and all(map(os.path.exists, wanted)):
        return None
    return "SKIP: power cuts need root, loop devices and /dev/fuse"


def run(*command, check=True):
    return subprocess.run([str(word) for word in command], check=check, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


class VolatileDisk:
    """Backing file, the file system that forgets (volatile_disk.cc), loop device, ext4: from power-on
    to power-off. Attribute mount."""

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
        eventually((self.under / "disk").exists, 30, what="volatile disk")
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


class LastingDisk:
    """An ordinary folder: its server can be killed, its power not be cut."""

    def __init__(self, place):
        self.mount = place

    def cut(self):
        pass

    def off(self):
        pass


@contextlib.contextmanager
def server_on(disk, env, options):
    """A server on the disk; the power goes off at the end, whatever happens."""
    try:
        root = disk.mount / "root"
        root.mkdir(exist_ok=True)
        yield Server(root, env=env, args=options)
    finally:
        disk.off()


def write_until_cut(server, disk, writers, wait_s, tally):
    """The writers (threads) work for a while, then all is over at once. Returns what `tally` said just
    before: only what was acknowledged by then is promised."""
    for writer in writers:
        writer.start()
    # The moment is what such a test is about: a wait, not a sleep in place of a condition.
    threading.Event().wait(wait_s)
    promised = tally()
    disk.cut()
    server.stop(sig=signal.SIGKILL)
    for writer in writers:
        writer.join(60)
    return promised
