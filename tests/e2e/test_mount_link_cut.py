"""A cable is pulled: hosts in network namespaces of their own, one with a mount, two with a node."""
import contextlib
import subprocess
import time

import pytest
from harness import DATASERVER, MOUNT, REPOSITORY, SLOW, built, eventually, needs_fuse, needs_root

NETCLUSTER = REPOSITORY / "tests/net/netcluster.sh"
DEADLINE_S = 2
LIMIT_S = (DEADLINE_S + 1.5) * SLOW  # for one operation and what starting a program takes
VIEWER, STAYS, CUT = "1", "2", "3"
PORT = 15348
LARGE = 16 << 20

# Opens a file, says so, and reads its far end when told.
HELD_READ = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
os.pread(fd, 4096, 0)
print("open", flush=True)
sys.stdin.readline()
started = time.monotonic()
try:
    told = f"{len(os.pread(fd, 4096, int(sys.argv[2])))} bytes"
except OSError as why:
    told = os.strerror(why.errno)
print(f"{time.monotonic() - started:.2f} {told}")
"""


class Network:
    """Hosts 1 to 3. Commands run on one of them, in a mount namespace of its own."""

    def call(self, *arguments, timeout=60, **options):
        return subprocess.run(["bash", NETCLUSTER, *map(str, arguments)], capture_output=True,
                              text=True, timeout=timeout * SLOW, **options)

    def checked(self, *arguments):
        done = self.call(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def on(self, host, *command, limit_s=LIMIT_S, **options):
        """Runs a command to its end, which has to come within the limit."""
        started = time.monotonic()
        done = self.call("exec", host, *command, **options)
        took = time.monotonic() - started
        assert took < limit_s, f"{command} took {took:.1f} s: {done.stderr}"
        return done


@pytest.fixture
def network(run_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("NETCLUSTER_DIR", str(tmp_path / "net"))
    monkeypatch.setenv("NETCLUSTER_AVAHI", "0")
    made = Network()
    up = made.call("up", 3)
    if up.returncode == 77:
        pytest.skip(up.stderr.strip())
    try:
        assert up.returncode == 0, up.stderr
        yield made
    finally:
        made.checked("down")


def start_node(network, host, folder):
    folder.mkdir()
    for name in ("first", "second"):
        (folder / f"{name}-on-{host}").write_text(f"{name} of {host}\n")
    (folder / f"large-on-{host}").write_bytes(b"x" * LARGE)
    log = folder.with_suffix(".log")
    # All run on one machine: without their lanes they are other hosts to the mount.
    network.checked("spawn", host, log, built(DATASERVER), "--root", folder, "--advertise", "none",
                    "--bind", "0.0.0.0", "--no-lane")
    eventually(lambda: "ready url=" in log.read_text(), 10, f"node {host} is ready")
    return f"http://10.77.0.{host}:{PORT}"


@contextlib.contextmanager
def held_read(path):
    with subprocess.Popen(["bash", NETCLUSTER, "exec", VIEWER, "python3", "-c", HELD_READ, path,
                           str(LARGE - 4096)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as reader:
        assert reader.stdout.readline() == "open\n"
        yield reader


@needs_root
@needs_fuse
def test_a_pulled_cable_hangs_nothing_and_once_plugged_in_all_is_there_again(network, tmp_path):
    lab = tmp_path / "lab"
    lab.mkdir()
    nodes = [start_node(network, host, tmp_path / f"disk{host}") for host in (STAYS, CUT)]
    network.checked("exec", VIEWER, built(MOUNT), lab, "--node", nodes[0], "--node", nodes[1],
                    "--deadline-ms", DEADLINE_S * 1000, "--log-file", tmp_path / "mount.log")
    assert network.on(VIEWER, "cat", lab / f"first-on-{CUT}").stdout == f"first of {CUT}\n"

    with held_read(lab / f"large-on-{CUT}") as reader:
        network.checked("link", "down", CUT)
        told, _ = reader.communicate("read\n", timeout=30 * SLOW)
    took, outcome = told.split(maxsplit=1)
    assert float(took) < LIMIT_S and "bytes" not in outcome, told

    assert network.on(VIEWER, "cat", lab / f"second-on-{CUT}").returncode != 0
    assert network.on(VIEWER, "cat", lab / f"second-on-{STAYS}").stdout == f"second of {STAYS}\n"
    assert f"first-on-{STAYS}" in network.on(VIEWER, "ls", lab).stdout.split()
    # Twice: whichever node would be next, the one that is left takes it.
    for name in ("after1", "after2"):
        network.on(VIEWER, "cp", lab / f"second-on-{STAYS}", lab / name).check_returncode()
        eventually((tmp_path / f"disk{STAYS}" / name).exists, 3, "stored")

    network.checked("link", "up", CUT)
    eventually(lambda: network.on(VIEWER, "cat", lab / f"second-on-{CUT}").stdout
               == f"second of {CUT}\n", 10, "the node is used again, without a remount")
    assert network.on(VIEWER, "ls", lab).stdout.split() == sorted(
        [f"{name}-on-{host}" for name in ("first", "second", "large") for host in (STAYS, CUT)]
        + ["after1", "after2"])
    network.on(VIEWER, "fusermount3", "-u", lab).check_returncode()
