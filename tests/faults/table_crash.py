#!/usr/bin/python3
"""kill -9 of the data server at random moments while eight writers append to HDF5 tables.

After each kill the server is started again on the same folder, and then: h5py opens every file;
every acknowledged append is there once, whole and in one piece; no other is there in part. What
each writer sent last, acknowledged or not, is sent again under its request id before, and is there
once as well.

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
import uuid

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


def target(number):
    return f"/__aggregate_h5r/d/{FILES[number % 2]}/Fit"


class Writer(threading.Thread):
    """Appends until the server is gone; what was acknowledged is in `acknowledged`, and `ids` has the
    request id of each number that was sent."""

    def __init__(self, numpy, server, writer, first):
        super().__init__()
        self.numpy, self.server, self.writer, self.next = numpy, server, writer, first
        self.acknowledged = []
        self.ids = {}
        self.refused = None

    def run(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=20)
        while True:
            _, text = body(self.numpy, self.writer, self.next)
            headers = {"Skein-Request-Id": self.ids.setdefault(self.next, str(uuid.uuid4()))}
            try:
                connection.request("PUT", target(self.next), text, headers)
                reply = connection.getresponse()
                answer = reply.read()
            except (OSError, http.client.HTTPException):
                return
            if reply.status != 200:
                self.refused = f"{reply.status} {answer!r}"
                return
            self.acknowledged.append(self.next)
            self.next += 1

    def send_again(self, server):
        """The unclear append and the last acknowledged one. Returns how often the server knew the id
        of an unclear one, and what is wrong."""
        known, problems = 0, []
        for number in sorted(self.ids)[-2:]:
            _, text = body(self.numpy, self.writer, number)
            reply = server.put(target(number), text, {"Skein-Request-Id": self.ids[number]}, timeout=30)
            repeated = reply.headers["Skein-Repeated"] == "1"
            clear = number in self.acknowledged
            if reply.status != 200 or clear and not repeated:
                problems.append(f"append {(self.writer, number)} sent again, acknowledged before:"
                                f" {clear}; repeated: {repeated}; {reply}")
            known += repeated and not clear
            if not clear:
                self.acknowledged.append(number)
        return known, problems


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
    total, known, began = 0, 0, time.monotonic()
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
            first = max(w.next for w in writers) + 1
            server = Server(root, env=env, args=options)
            for writer in writers:
                there, wrong = writer.send_again(server)
                known += there
                problems += wrong
            acknowledged |= {(w.writer, n) for w in writers for n in w.acknowledged}
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
          f" torn, none twice ({known} unclear ones were there when sent again),"
          f" {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
