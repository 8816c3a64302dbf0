"""The fault tests and the fuzz targets in the length that continuous integration can afford."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SANITIZED = pathlib.Path(os.environ.get("SKEIN_BUILD", "build")).name != "build"


def run(*command, limit_s):
    ended = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=limit_s, stdin=subprocess.DEVNULL)
    if ended.returncode == 77:
        pytest.skip(ended.stdout.strip().splitlines()[-1])
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_kill_9_at_any_moment_loses_nothing_acknowledged():
    assert "none lost" in run(sys.executable, HERE / "crash_matrix.py", "--rounds", 5, limit_s=120)


@pytest.mark.parametrize("sync", ["publish", "none"])
def test_kill_9_loses_tears_and_doubles_no_append(sync):
    told = run(sys.executable, HERE / "append_crash.py", "--rounds", 2, "--sync", sync, limit_s=120)
    assert "none lost, none torn, none doubled" in told


@pytest.mark.parametrize("sync", ["publish", "none"])
def test_a_power_cut_leaves_no_partial_file_served(sync):
    told = run(sys.executable, HERE / "power_cut.py", "--rounds", 1, "--sync", sync, limit_s=120)
    assert "acknowledged files" in told


@pytest.mark.skipif(SANITIZED, reason="the fuzz targets have sanitizers of their own")
def test_fuzzing_finds_nothing():
    told = run(HERE.parent / "fuzz/run", os.environ.get("SKEIN_FUZZ_SECONDS", 60), limit_s=400)
    assert told.count("nothing found") == 2
