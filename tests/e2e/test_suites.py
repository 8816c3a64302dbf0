"""What tests/run.sh counts: a crash or a program that ran out of time is never a pass."""
import subprocess
import sys

import harness

sys.path.insert(0, str(harness.REPOSITORY / "tests"))
import suites  # noqa: E402

SUMMARY = "[doctest] test cases: {} | {} passed | {} failed | 0 skipped\n"


def counted(output, status):
    count = suites.count_unit("core", output, status)
    return count.passed, count.failed, len(count.skips)


def test_cases_of_a_unit_test_program_are_counted_one_by_one():
    assert counted(SUMMARY.format(7, 7, 0), 0) == (7, 0, 0)
    assert counted(SUMMARY.format(7, 5, 2), 1) == (5, 2, 0)


def test_a_program_that_crashes_or_hangs_counts_as_failed():
    assert counted("", -11) == (0, 1, 0)
    assert counted("", None) == (0, 1, 0)
    assert counted(SUMMARY.format(7, 7, 0), -6) == (7, 1, 0)


def test_a_skip_is_named_and_is_not_a_pass():
    assert counted("SKIP: no Avahi here\n" + SUMMARY.format(7, 7, 0), 0) == (6, 0, 1)
    assert counted("netcluster: SKIP: needs root\n", 77) == (0, 0, 1)


def test_a_pytest_run_without_a_report_counts_as_failed(tmp_path):
    count = suites.count_junit(tmp_path / "none.xml", "", 1)
    assert (count.passed, count.failed) == (0, 1)


def test_a_program_that_outlives_its_limit_is_ended_with_its_children():
    output, status = suites.run(["sh", "-c", "echo begun; sleep 61 & wait"], 0.3)
    assert (output, status) == ("begun\n", None)


def test_an_unknown_option_of_the_runner_is_wrong_usage():
    asked = subprocess.run([str(harness.REPOSITORY / "tests" / "run.sh"), "--fast"],
                           capture_output=True, text=True, timeout=10)
    assert asked.returncode == 2
    assert asked.stderr.count("\n") == 1 and "--fast" in asked.stderr
