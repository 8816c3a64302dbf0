"""The harness itself: a test program left running, or logging an error, must not pass unseen."""
import os
import subprocess

import harness
import pytest


def test_a_condition_that_stays_false_fails_with_its_name():
    with pytest.raises(AssertionError, match="the moon is blue"):
        harness.eventually(lambda: False, timeout=0.05, what="the moon is blue")


def test_an_error_in_a_log_is_seen_and_a_warning_is_not():
    log = ("2026-01-01T00:00:00.000+0000 skein-mount warning: silent: why=an error: none\n"
           "2026-01-01T00:00:00.000+0000 skein-mount error: cannot open: path=/x\n")
    assert harness.error_lines(log) == log.splitlines()[1:]


def test_processes_of_this_test_are_found_by_their_run_directory(run_dir):
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        harness.eventually(
            lambda: sleeper.pid in harness.processes_with("SKEIN_RUN_DIR", str(run_dir)))
    finally:
        sleeper.kill()
        sleeper.wait()
    assert harness.processes_with("SKEIN_RUN_DIR", str(run_dir)) == []
    assert os.environ["SKEIN_RUN_DIR"] == str(run_dir)
