"""The units that are installed: sound for systemd, and what they start works with what they grant."""
import os
import pathlib
import pwd
import shlex
import shutil
import subprocess

import pytest
from harness import (BUILD, MOUNT, SKEIN, Server, eventually, mounts_under, needs_fuse, needs_root,
                     processes_of)

SERVER_UNIT = "skein-dataserver.service"
MOUNT_UNIT = "skein-mount@.service"
USER = "nobody"


@pytest.fixture
def units(tmp_path):
    """Folder of the units, as installed."""
    done = subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet",
                           "--destdir", str(tmp_path / "to")], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return next((tmp_path / "to").rglob(SERVER_UNIT)).parent


def setting(unit, name):
    """Its one value in a unit."""
    values = [line.partition("=")[2] for line in unit.read_text().splitlines()
              if line.startswith(f"{name}=")]
    assert len(values) == 1, f"{unit.name}: {name}: {values}"
    return values[0]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault_in_the_units(units, tmp_path):
    checked = tmp_path / "checked"
    checked.mkdir()
    for name in (SERVER_UNIT, MOUNT_UNIT):
        text = (units / name).read_text()
        begin = setting(units / name, "ExecStart").split()[0]
        # Programs are looked for, and those of this build are not installed.
        (checked / name).write_text(text.replace(begin, str(SKEIN)))
    for name in (SERVER_UNIT, "skein-mount@mnt-lab.service"):
        asked = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                                str(checked / name)], capture_output=True, text=True, timeout=30)
        found = [line for line in asked.stderr.splitlines() if "skein" in line]
        assert asked.returncode == 0 and not found, asked.stderr


@needs_root
def test_the_server_runs_with_the_capabilities_that_its_unit_leaves(units, run_dir, tmp_path):
    start = shlex.split(setting(units / SERVER_UNIT, "ExecStart"))
    assert pathlib.Path(start[0]).name == "skein-dataserver" and start[1:] == ["--user", "skein"]
    kept = setting(units / SERVER_UNIT, "CapabilityBoundingSet").lower().replace("cap_", "+").split()
    root = run_dir.parent / "root"
    root.mkdir()
    run_dir.parent.chmod(0o755)
    os.chown(root, pwd.getpwnam(USER).pw_uid, -1)
    bounded = run_dir.parent / "bounded"
    bounded.write_text("#!/bin/sh\nexec setpriv --bounding-set " + ",".join(["-all", *kept])
                       + f' {BUILD}/dataserver/skein-dataserver "$@"\n')
    bounded.chmod(0o755)
    server = Server(root, args=["--user", USER], program=bounded)
    try:
        assert server.put("/a", b"stored").status == 200
        # What root's own programs find in the run directory: the lane and the registry.
        assert list(run_dir.glob("*.sock"))
        assert (root / "a").stat().st_uid == pwd.getpwnam(USER).pw_uid
    finally:
        assert server.stop() == 0


@needs_fuse
@needs_root
def test_the_mount_starts_and_stops_as_its_unit_says(units, servers, tmp_path, run_dir):
    node = servers()
    assert node.put("/a", b"stored").status == 200
    pathlib.Path(os.environ["SKEIN_CONFIG"]).write_text(f'nodes = ["{node.url}"]\n')
    point = tmp_path / "lab"
    point.mkdir()
    start, stop = (shlex.split(setting(units / MOUNT_UNIT, name).replace("%f", str(point)))
                   for name in ("ExecStart", "ExecStop"))
    assert pathlib.Path(start[0]).name == MOUNT.name
    subprocess.run([MOUNT, *start[1:]], check=True, timeout=20)
    assert (point / "a").read_bytes() == b"stored"
    subprocess.run(stop, check=True, timeout=20)
    assert not mounts_under(point)
    eventually(lambda: not processes_of(MOUNT), 10, "its process ends too")
