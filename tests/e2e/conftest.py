"""Fixtures of the end-to-end tests: settings of their own, and nothing left behind.

A test fails when a program it started logged an error (unless marked allow_errors), or when a
process or mount outlives it. Every test has a time limit: 60 s, or
@pytest.mark.time_limit(SECONDS).
"""
import contextlib
import faulthandler
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402

DEFAULT_TIME_LIMIT_S = 60


def pytest_configure(config):
    config.addinivalue_line("markers", "allow_errors: the programs may log errors in this test")
    config.addinivalue_line("markers", "time_limit(seconds): instead of 60 s, for this test")


class TestTookTooLong(Exception):
    __test__ = False


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """The alarm raises in the test; should it hang in a system call on a dead mount, the traceback
    still gets out 30 s later, and the program ends."""
    marker = item.get_closest_marker("time_limit")
    limit_s = int((marker.args[0] if marker else DEFAULT_TIME_LIMIT_S) * harness.SLOW)

    def ring(_signal, _frame):
        raise TestTookTooLong(f"{item.nodeid}: longer than {limit_s} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(limit_s)
    faulthandler.dump_traceback_later(limit_s + 30, exit=True, file=sys.__stderr__)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def run_dir(monkeypatch, tmp_path):
    """Settings of this test only. Unix socket paths end at 107 bytes: the folder is a short one."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="skein-", dir="/tmp"))
    for name in list(os.environ):
        if name.startswith("SKEIN_") and not name.startswith(("SKEIN_TEST_", "SKEIN_BUILD")):
            monkeypatch.delenv(name)
    for name in ("run", "cache", "logs"):
        (folder / name).mkdir()
    (folder / "skein.toml").touch()
    monkeypatch.setenv("SKEIN_RUN_DIR", str(folder / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setenv("SKEIN_MOUNT_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("SKEIN_CONFIG", str(folder / "skein.toml"))
    monkeypatch.setenv("SKEIN_TEST_LOGS", str(folder / "logs"))
    yield folder / "run"
    left = end_leftovers(folder, tmp_path)
    shutil.rmtree(folder, ignore_errors=True)
    assert not left, f"left behind by the test: {left}"


def end_leftovers(folder, tmp_path):
    left = []
    for pid in harness.processes_with("SKEIN_RUN_DIR", str(folder / "run")):
        with contextlib.suppress(OSError):
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            os.kill(pid, signal.SIGKILL)
            left.append(f"process {pid}: {command.decode(errors='replace')}")
    for point in harness.mounts_under(tmp_path) + harness.mounts_under(folder):
        os.system(f"umount -l '{point}'")
        left.append(f"mount {point}")
    return left


def end_all(request, programs, end):
    """Ends every program, also when ending one fails; then reports the first trouble of any."""
    troubles = []
    for program in reversed(programs):
        try:
            end(program)
        except AssertionError as trouble:
            troubles.append(str(trouble))
        if request.node.get_closest_marker("allow_errors") is None:
            troubles += harness.error_lines(program.log_text())
        sys.stderr.write(f"--- {program.log.name}\n{program.log_text()}")
    assert not troubles, "\n".join(troubles)


def end_server(server):
    """In order, unless the test itself killed it: a crash must not pass unseen."""
    status = server.stop()
    assert status in (0, -signal.SIGKILL), f"server ended with {status}: {server.log_text()}"


@pytest.fixture
def servers(request, run_dir, tmp_path):
    """servers(...) starts a Server; without a root it serves a new folder under tmp_path."""
    started = []

    def start(root=None, **options):
        server = harness.Server(root or tmp_path / f"node{len(started) + 1}", **options)
        started.append(server)
        return server

    yield start
    end_all(request, started, end_server)


@pytest.fixture
def table_server(servers):
    """A server with HDF5, and a growing table grows.h5r/T with one row: x = 1."""
    server = servers()
    if server.put("/__aggregate_h5r/grows.h5r/T", b"x\n1\n").status == 501:
        pytest.skip("built without HDF5")
    return server


@pytest.fixture
def mounts(request, servers, tmp_path):
    """mounts(...) starts a Mount; without a mount point it is a new folder under tmp_path.

    Depends on servers, so that mounts end before the servers under them.
    """
    started = []

    def start(mountpoint=None, **options):
        mount = harness.Mount(mountpoint or tmp_path / f"mount{len(started) + 1}", **options)
        started.append(mount)
        return mount

    yield start
    end_all(request, started, lambda mount: mount.stop())
