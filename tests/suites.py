#!/usr/bin/python3
"""Runs the tests of a finished build and counts every case of every suite (tests/run.sh calls it).

A unit test program is one that meson knows (`meson introspect --tests`); its doctest summary says
how many cases it ran. A line "SKIP: <reason>" of it, or exit status 77, is a skip. pytest suites
are the folders of PYTEST_SUITES; tests/tidy.py counts each of its rules.
exit status: 0 none failed; 1 a test failed
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

TESTS = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("SKEIN_BUILD", TESTS.parent / "build")).resolve()
SLOW = float(os.environ.get("SKEIN_TEST_SLOW", "1"))
# A whole pytest suite that takes longer hangs; each of its tests has a limit of its own.
PYTEST_LIMIT_S = 1200
PYTEST_SUITES = ("e2e", "conformance", "faults")

DOCTEST = re.compile(r"\[doctest\] test cases: *(\d+) *\| *(\d+) passed *\| *(\d+) failed")
SKIP = re.compile(r"SKIP(?:PED)?: *(.*)")


class Count:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skips = []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skips += other.skips


def run(command, limit_s, **options):
    """Output and exit status (None: ran out of time). Its whole process group ends with it."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True, **options)
    try:
        output, _ = process.communicate(timeout=limit_s * SLOW)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        status = None
    return output.decode(errors="replace"), status


def count_unit(name, output, status):
    count = Count()
    skips = [f"{name}: {line.group(1)}" for line in map(SKIP.search, output.splitlines()) if line]
    summary = DOCTEST.search(output)
    if summary:
        _, passed, failed = map(int, summary.groups())
        count.skips = skips[:passed]
        count.passed = passed - len(count.skips)
        count.failed = failed or (1 if status != 0 else 0)
    elif status == 77:
        count.skips = skips or [f"{name}: said no reason"]
    else:
        count.passed, count.failed = (1, 0) if status == 0 else (0, 1)
    return count


def run_unit(name_filter):
    listed = subprocess.run(["meson", "introspect", "--tests", str(BUILD)], capture_output=True,
                            text=True, check=True, stdin=subprocess.DEVNULL)
    for test in json.loads(listed.stdout):
        command = list(test["cmd"])
        is_doctest = "unit" in "".join(test["suite"])
        if name_filter:
            if not is_doctest:
                continue
            command.append(f"--test-case=*{name_filter}*")
        environment = {**os.environ, **test["env"]}
        output, status = run(command, test["timeout"] * 2, env=environment,
                             cwd=test["workdir"] or BUILD)
        count = count_unit(test["name"], output, status)
        if count.failed:
            print(output)
            print("ran out of time" if status is None else f"exit status {status}")
        yield f"unit {test['name']}", count


def run_tidy():
    output, status = run([sys.executable, str(TESTS / "tidy.py")], 120)
    count = Count()
    last = re.search(r"tidy: (\d+) passed, (\d+) failed", output)
    count.passed, count.failed = map(int, last.groups()) if last else (0, 1)
    if status != 0 or not last:
        count.failed = count.failed or 1
        print(output)
    count.skips = [line.group(0) for line in map(SKIP.search, output.splitlines()) if line]
    return count


def count_junit(path, output, status):
    count = Count()
    try:
        cases = list(xml.parse(path).getroot().iter("testcase"))
    except (OSError, xml.ParseError):
        cases = []
    for case in cases:
        skipped = case.find("skipped")
        if skipped is not None:
            count.skips.append(f"{case.get('name')}: {skipped.get('message')}")
        elif case.find("failure") is not None or case.find("error") is not None:
            count.failed += 1
        else:
            count.passed += 1
    # 5: a filter that matches none; anything else beside 0 and 1 is pytest itself in trouble.
    if status not in (0, 5) and count.failed == 0:
        count.failed = 1
    if count.failed:
        print(output)
    return count


def run_pytest(suite, name_filter):
    with tempfile.TemporaryDirectory(prefix="skein-suite-") as scratch:
        report = pathlib.Path(scratch) / "report.xml"
        command = [str(TESTS / "e2e" / "run"), "-q", f"--junitxml={report}", str(TESTS / suite)]
        if name_filter:
            command += ["-k", name_filter.replace(" ", " and ")]
        output, status = run(command, PYTEST_LIMIT_S, env={**os.environ, "SKEIN_BUILD": str(BUILD)})
        return count_junit(report, output, status)


def suites(name_filter):
    if not name_filter:
        yield "tidy", run_tidy()
    yield from run_unit(name_filter)
    for suite in PYTEST_SUITES:
        if list((TESTS / suite).glob("test_*.py")):
            yield suite, run_pytest(suite, name_filter)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="only tests whose name contains this text")
    arguments = parser.parse_args()
    total = Count()
    started = time.monotonic()
    for name, count in suites(arguments.filter):
        total.add(count)
        seconds = time.monotonic() - started
        started += seconds
        print(f"{name}: {count.passed} passed, {count.failed} failed, {len(count.skips)} skipped"
              f" ({seconds:.1f} s)", flush=True)
    for skip in total.skips:
        print(f"SKIPPED {skip}")
    line = f"{total.passed} passed, {total.failed} failed"
    print(line + (f", {len(total.skips)} skipped" if total.skips else ""))
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
