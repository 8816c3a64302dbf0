#!/usr/bin/python3
"""kill -9 of the data server at random moments while eight writers append to HDF5 tables.

After each kill the server is started again on the same folder, and then: h5py opens every file;
every acknowledged append is there once, whole and in one piece; no other is there in part.

usage: tests/faults/table_crash.py [--rounds N] [--seed S] [--sync none|publish]
exit status: 0 all rounds held; 1 a promise was broken (the seed replays the moments); 2 wrong usage
"""
import argparse
import http.client
import io
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e")]
from harness import Server  # noqa: E402

WRITERS = 8
ROWS = 60
FILES = ("shared.h5r", "other.hdf")


def body(numpy, writer, number):
    """An append that says in each row whose it is, with values that do not pack well."""
    rows = numpy.zeros(ROWS, [("writer", "<i4"), ("number", "<i4"), ("row", "<i4"),
                              ("fit", [("x", "<f8"), ("y", "<f4")])])
    rows["writer"], rows["number"], rows["row"] = writer, number, range(ROWS)
    rows["fit"]["x"] = numpy.random.default_rng(writer * 1_000_003 + number).random(ROWS)
    out = io.BytesIO()
    numpy.save(out, rows)
    return rows, out.getvalue()


class Writer(threading.Thread):
    """Appends until the server is gone; what was acknowledged is in `acknowledged`."""

    def __init__(self, numpy, server, writer, first):
        super().__init__()
        self.numpy, self.server, self.writer, self.next = numpy, server, writer, first
        self.acknowledged = []
        self.refused = None

    def run(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=20)
        while True:
            _, text = body(self.numpy, self.writer, self.next)
            try:
                connection.request("PUT", f"/__aggregate_h5r/d/{FILES[self.next % 2]}/Fit", text)
                reply = connection.getresponse()
                answer = reply.read()
            except (OSError, http.client.HTTPException):
                return
            if reply.status != 200:
                self.refused = f"{reply.status} {answer!r}"
                return
            self.acknowledged.append(self.next)
            self.next += 1


def judge(numpy, h5py, root, acknowledged):
    """What is wrong with the files below `root`, as sentences."""
    problems = []
    found = {}
    for name in FILES:
        path = pathlib.Path(root, "d", name)
        if not path.exists():
            continue
        try:
            with h5py.File(path, "r") as file:
                rows = file["Fit"][:]
        except Exception as why:  # whatever h5py says of a torn file
            problems.append(f"{name}: {why}")
            continue
        if len(rows) % ROWS:
            problems.append(f"{name}: {len(rows)} rows are no whole appends")
        for at in range(0, len(rows) - ROWS + 1, ROWS):
            key = (int(rows["writer"][at]), int(rows["number"][at]))
            wanted, _ = body(numpy, *key)
            if not numpy.array_equal(rows[at:at + ROWS], wanted):
                problems.append(f"{name}: rows from {at} are not append {key} in one piece")
            elif key in found:
                problems.append(f"{name}: append {key} is there twice")
            found[key] = name
    problems += [f"append {key} was acknowledged and is not there"
                 for key in acknowledged if key not in found]
    return problems


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--sync", choices=["none", "publish"], default="none")
    arguments = parser.parse_args(words)
    import h5py
    import numpy
    print(f"table crash: seed={arguments.seed} rounds={arguments.rounds} sync={arguments.sync}",
          flush=True)
    pick = random.Random(arguments.seed)
    options = ["--sync", arguments.sync] if arguments.sync != "none" else []
    total, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="skein-tables-") as place:
        root, run_dir = pathlib.Path(place, "root"), pathlib.Path(place, "run")
        run_dir.mkdir()
        env = {"SKEIN_RUN_DIR": str(run_dir), "SKEIN_CONFIG": ""}
        acknowledged, first = set(), 0
        for number in range(arguments.rounds):
            # Large files take long to judge: some rounds follow on the last one's files.
            if number % 10 == 0:
                root = pathlib.Path(place, f"root{number}")
                acknowledged, first = set(), 0
            server = Server(root, env=env, args=options)
            writers = [Writer(numpy, server, n, first) for n in range(WRITERS)]
            for writer in writers:
                writer.start()
            # The moment of the kill is what the test is about, not a condition.
            threading.Event().wait(pick.uniform(0.0, 0.7))
            server.stop(sig=signal.SIGKILL)
            for writer in writers:
                writer.join(30)
            problems = [f"writer {w.writer}: {w.refused}" for w in writers if w.refused]
            acknowledged |= {(w.writer, n) for w in writers for n in w.acknowledged}
            # The next round does not use a number again: that append may be there, unacknowledged.
            first = max(w.next for w in writers) + 1
            server = Server(root, env=env, args=options)
            problems += judge(numpy, h5py, root, acknowledged)
            if server.stop() != 0:
                problems.append("the server did not end in order")
            if os.listdir(root / ".skein" / "redo"):
                problems.append("a journal is left after an orderly end")
            total += sum(len(w.acknowledged) for w in writers)
            if problems:
                print(f"round {number}: {len(problems)} problems\n  " + "\n  ".join(problems[:20]))
                return 1
    print(f"table crash: {arguments.rounds} rounds, {total} acknowledged appends, none lost, none"
          f" torn, none twice, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
