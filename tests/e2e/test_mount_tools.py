"""The tools matrix of skein-mount(8) on real mounts, row by row."""
import errno
import hashlib
import importlib.util
import os
import pathlib
import subprocess
import tempfile

import pytest
import tools_matrix
from harness import SLOW, Mount, Server, needs_fuse, needs_root

pytestmark = [needs_fuse, needs_root]

MANUAL = pathlib.Path(__file__).resolve().parents[2] / "docs" / "manual" / "skein-mount.8"


@pytest.fixture(scope="module")
def room():
    """One mount over two nodes for all rows: a row has a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="skein-", dir="/tmp") as folder:
        base = pathlib.Path(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SKEIN_RUN_DIR", str(base))
            patch.setenv("SKEIN_MOUNT_CACHE_DIR", str(base / "cache"))
            patch.delenv("HDF5_USE_FILE_LOCKING", raising=False)
            patch.setenv("SKEIN_TEST_LOGS", folder)
            servers = [Server(base / f"node{i}") for i in (1, 2)]
            mount = None
            try:
                mount = Mount(base / "m", nodes=servers)
                make_source(base / "source")
                yield base
            finally:
                if mount:
                    mount.stop()
                for server in servers:
                    server.stop()


def make_source(folder):
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_bytes(os.urandom(300_000))
    (folder / "b").write_bytes(b"b\n")
    (folder / "sub" / "c").write_bytes(b"hay needle hay\n")
    names = ("a", "b", "sub/c")
    for name in names:  # not the time at which the mount sees them
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    (folder / "sums").write_text("".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names))


def message_of(outcome):
    return os.strerror(getattr(errno, outcome)) if hasattr(errno, outcome) else outcome


@pytest.mark.parametrize("row", tools_matrix.ROWS, ids=lambda row: row.tool.replace(" ", "_"))
def test_tool(row, room, tmp_path, request):
    if row.python and importlib.util.find_spec(row.python) is None:
        pytest.skip(f"needs python3-{row.python.lower()}")
    folder = room / "m" / str(tools_matrix.ROWS.index(row))
    folder.mkdir()
    done = subprocess.run(
        ["/bin/bash", "-c", f"{row.script}"], cwd=folder, capture_output=True, text=True,
        timeout=50 * SLOW, stdin=subprocess.DEVNULL,
        env={**os.environ, "S": str(room / "source"), "T": str(tmp_path), "LC_ALL": "C.UTF-8"})
    said = done.stdout + done.stderr
    if row.outcome == tools_matrix.WORKS:
        assert done.returncode == 0, said
    else:
        assert done.returncode != 0, said
        assert message_of(row.outcome).lower() in said.lower(), said


def test_the_manual_has_these_rows():
    lines = MANUAL.read_text().splitlines()
    missing = [row for row in tools_matrix.manual_rows() if row not in lines]
    assert missing == [], "print them with tests/e2e/tools_matrix.py"
