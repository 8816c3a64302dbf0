"""The competitors of the mount's benchmark: the disk's own filesystem (native), mergerfs, and a
mount of servers, each over folders of one disk; and the rows that compare them."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time

from measure import BUILD, resident_bytes, skein_server

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
FILES = BUILD / "tests/bench/bench-files"
MERGERFS = shutil.which("mergerfs")
PATIENCE_S = 20


def files(*words):
    done = subprocess.run([FILES, *map(str, words)], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def drop_caches():
    """Clean pages, dentries and inodes of the whole machine; root only."""
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


class Mounted:
    """A program in the foreground that mounts on `point`."""

    def __init__(self, point, *command, env=None):
        self.point = point
        point.mkdir(exist_ok=True)
        self.process = subprocess.Popen([str(word) for word in command], env=env)
        deadline = time.monotonic() + PATIENCE_S
        while not os.path.ismount(point):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"{command[0]} did not mount")
            time.sleep(0.02)

    def resident_bytes(self, key):
        return resident_bytes(self.process.pid, key)

    def stop(self):
        subprocess.run(["umount", self.point], check=True)
        self.process.wait(PATIENCE_S)


def skein_mount(place, name, servers, *options):
    env = {**os.environ, "SKEIN_RUN_DIR": str(place / "run"), "SKEIN_CONFIG": "",
           "SKEIN_LOG_LEVEL": "warn"}
    nodes = [word for server in servers for word in ("--node", f"http://127.0.0.1:{server.port}")]
    return Mounted(place / name, BUILD / "fuse/skein-mount", "-f", *nodes, *options, "-o",
                   f"cache={place / (name + '-cache')},spool={place / (name + '-spool')}",
                   place / name, env=env)


def mergerfs_mount(place, branches):
    for branch in branches:
        branch.mkdir()
    options = "cache.files=auto-full,category.create=mfs,cache.attr=60,cache.entry=60,cache.readdir=true"
    return Mounted(place / "mergerfs", MERGERFS, "-f", "-o", options,
                   ":".join(map(str, branches)), place / "mergerfs")


@contextlib.contextmanager
def fresh_ext4(place):
    """A folder of an ext4 just made, with a journal, in an image on `place`. ext4 without a journal,
    as on images of virtual machines, passes over each inode that was deleted within five minutes,
    one by one: there creates fell from 31,000 to 4,000 a second after a mass delete."""
    image, point = place / "ext4.img", place / "ext4"
    point.mkdir()
    with image.open("wb") as out:
        out.truncate(24 * GIB)  # sparse
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image],
                   check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


@contextlib.contextmanager
def room(place, nodes, mounts, mergerfs=True):
    """`nodes` servers on `place`, a mount of them per name with its options; yields the folders by
    the competitor's name and the servers."""
    with contextlib.ExitStack() as stack:
        servers = []
        for n in range(nodes):
            (place / f"node{n}").mkdir(exist_ok=True)
            servers.append(skein_server(place / f"node{n}", place / "run"))
            stack.callback(servers[-1].stop)
        (place / "native").mkdir(exist_ok=True)
        folders = {"native": place / "native"}
        if mergerfs and MERGERFS:
            mount = mergerfs_mount(place, [place / f"branch{n}" for n in range(nodes)])
            stack.callback(mount.stop)
            folders["mergerfs"] = mount.point
        for name, options in mounts.items():
            mount = skein_mount(place, name, servers, *options)
            stack.callback(mount.stop)
            folders[name] = mount.point
        yield folders, servers


def remove(place, name):
    """Takes it out of the folders themselves, before the disk is busy with writing it back."""
    for found in place.glob(f"*/{name}"):
        if found.parent.name.startswith(("node", "branch", "native")):
            shutil.rmtree(found) if found.is_dir() else found.unlink()


def ratios(got, name):
    """`name` to native and to mergerfs, as cells."""
    cells = [f"{got[name].median / got['native'].median:.2f}"]
    cells.append(f"{got[name].median / got['mergerfs'].median:.1f}" if "mergerfs" in got else "-")
    return cells


HEADER = ["what", "native", "mergerfs", "skein", "skein/native", "skein/mergerfs", "goal"]


def row(what, got, goal, name="skein"):
    return [what, got["native"].text(), got["mergerfs"].text() if "mergerfs" in got else "-",
            got[name].text(), *ratios(got, name), goal]
