"""The README's first command: it verifies what it wrote, and leaves nothing behind."""
import os
import pathlib
import signal
import subprocess

import harness
import pytest
from harness import eventually, needs_fuse, needs_root

pytestmark = [needs_fuse, needs_root, pytest.mark.time_limit(180)]
DEMO = harness.REPOSITORY / "tools" / "demo.sh"


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where the demo puts its folder, so that what it leaves can be seen."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("SKEIN_BUILD", str(harness.BUILD))
    return folder


def leftovers(scratch):
    pids = harness.processes_with("TMPDIR", str(scratch))
    return list(scratch.iterdir()), harness.mounts_under(scratch), pids


@pytest.mark.parametrize("mdns", ["of this host", "of its own"])
def test_the_demo_verifies_every_byte_and_leaves_nothing(scratch, monkeypatch, mdns):
    if mdns == "of its own":
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
    ended = subprocess.run([str(DEMO), "--once"], capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, timeout=170)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("every byte as written") == 3
    assert leftovers(scratch) == ([], [], [])


@pytest.mark.parametrize("sig, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_the_demo_and_leaves_nothing(scratch, sig, status):
    output = scratch.parent / "output"
    with open(output, "w") as file:
        demo = subprocess.Popen([str(DEMO)], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                start_new_session=True,
                                # A shell that was started with it ignored cannot trap it: so is
                                # everything below a job in the background of a script.
                                preexec_fn=lambda: signal.signal(sig, signal.SIG_DFL))
    try:
        eventually(lambda: "stays up until Ctrl-C" in output.read_text()
                   or demo.poll() is not None, 150, "the demo is up")
        assert demo.poll() is None, output.read_text()
        mount = next(scratch.glob("skein-demo.*")) / "mnt"
        assert sorted(os.listdir(mount)) == ["run1.pcs", "stacks"]
        os.killpg(demo.pid, sig)  # as a terminal does
        assert demo.wait(30) == status
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()
    assert leftovers(scratch) == ([], [], [])


def test_a_cluster_that_dies_ends_the_demo_with_an_error_and_leaves_nothing(scratch):
    output = scratch.parent / "output"
    with open(output, "w") as file:
        demo = subprocess.Popen([str(DEMO)], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                start_new_session=True)
    try:
        eventually(lambda: "stays up until Ctrl-C" in output.read_text()
                   or demo.poll() is not None, 150, "the demo is up")
        up = [pid for pid in harness.processes_with("TMPDIR", str(scratch))
              if b"\0up\0" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert up, output.read_text()
        for pid in up:
            os.kill(pid, signal.SIGKILL)
        assert demo.wait(30) == 1
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()
    assert "skein up ended" in output.read_text()
    # Its children were told by the kernel, and end on their own.
    eventually(lambda: leftovers(scratch) == ([], [], []), 10, "nothing left")
