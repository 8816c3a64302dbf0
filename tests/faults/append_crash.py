#!/usr/bin/python3
"""kill -9, or a power cut, of the data server while eight writers append to two growing files.

After each: every acknowledged record is there once, whole; of what was not acknowledged a record is
there whole or not at all; and the append that each writer could not tell about, sent again with its
request id, is there once. A power cut is one on a disk that drops what was not flushed
(volatile_disk.cc), under --sync publish.

usage: tests/faults/append_crash.py [--rounds N] [--seed S] [--sync none|publish] [--power-cut]
exit status: 0 all rounds held; 1 a promise was broken (the seed replays the moments); 2 wrong usage;
77 --power-cut needs root, loop devices and FUSE
"""
import argparse
import collections
import http.client
import pathlib
import random
import sys
import tempfile
import threading
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
import power  # noqa: E402

WRITERS = 8
FILES = ("_aggregate/one.log", "_aggregate/deep/two.csv")


def record(writer, number):
    """Mostly short; some as large as what a server keeps on its disk until it is whole."""
    chance = random.Random(f"{writer}/{number}")
    size = chance.choice([0, 20, 200, 200, 200, 5000, 70_000, 600_000])
    return f"{writer} {number} {size} ".encode() + bytes([97 + number % 26]) * size + b"\n"


class Writer(threading.Thread):
    """Appends until the server is gone; `unclear` is the record, and id, it then has no reply to."""

    def __init__(self, server, name, path):
        super().__init__(daemon=True)
        self.server, self.name_, self.path = server, name, path
        self.acknowledged, self.unclear, self.problem = 0, None, None

    def run(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
        for number in range(1_000_000):
            self.unclear = (record(self.name_, number), str(uuid.uuid4()))
            try:
                connection.request("PUT", f"/{self.path}", self.unclear[0],
                                   {"Skein-Request-Id": self.unclear[1]})
                reply = connection.getresponse()
                reply.read()
            except (OSError, http.client.HTTPException):
                return
            if reply.status != 200:
                self.problem = f"{self.name_}: answered with {reply.status}"
                return
            self.acknowledged = number + 1


def judge(path, content, acknowledged):
    """acknowledged: how many of each writer's records were, before the end."""
    problems, seen = [], collections.defaultdict(list)
    for line in content.splitlines(keepends=True):
        try:
            writer, number = line.split(b" ")[:2]
            whole = record(writer.decode(), int(number))
        except ValueError:
            whole = None
        if line != whole:
            problems.append(f"{path}: a torn record: {line[:60]!r}, {len(line)} bytes")
            continue
        seen[writer.decode()].append(int(number))
    for writer, count in acknowledged.items():
        numbers = seen[writer]
        if numbers != list(range(len(numbers))) or not count <= len(numbers) <= count + 1:
            problems.append(f"{path}: {writer}: {count} acknowledged, {len(numbers)} there, the last"
                            f" {numbers[-3:]}")
    return problems


def repeat(server, writers):
    """What no writer could tell about, once more: then it is there once, and known to be."""
    problems = []
    for writer in writers:
        body, request = writer.unclear
        reply = server.put(f"/{writer.path}", body, {"Skein-Request-Id": request}, timeout=30)
        if reply.status != 200:
            problems.append(f"{writer.name_}: its repeated append: {reply.status}")
        writer.acknowledged += 1
    return problems


def one_round(place, env, pick, sync, cuts):
    options = ["--sync", sync]
    disk = power.VolatileDisk(place, pick.randrange(1 << 31)) if cuts else power.LastingDisk(place)
    with power.server_on(disk, env, options) as server:
        writers = [Writer(server, f"w{n}", FILES[n % 2]) for n in range(WRITERS)]

        def tally():
            return {writer.name_: writer.acknowledged for writer in writers}

        counts = power.write_until_cut(server, disk, writers, pick.uniform(0.0, 0.7), tally)
    problems = [writer.problem for writer in writers if writer.problem]
    if not cuts:
        counts = tally()
    disk = power.VolatileDisk(place, 0) if cuts else disk
    with power.server_on(disk, env, options) as server:
        for path in FILES:
            mine = {writer.name_: counts[writer.name_] for writer in writers if writer.path == path}
            reply = server.get(f"/{path}", timeout=60)
            if reply.status == 404 and not any(mine.values()):
                continue
            on_disk = (server.root / path).read_bytes()
            if reply.body != on_disk:
                problems.append(f"{path}: {len(reply.body)} bytes served, {len(on_disk)} on the disk")
            if not cuts:
                problems += judge(path, reply.body, mine)
            else:
                # Acknowledgements on their way at the cut may be of what was lost with it.
                problems += [one for one in judge(path, reply.body, mine)
                             if "torn" in one or lost(reply.body, mine)]
        if not cuts:
            problems += repeat(server, writers)
            for path in FILES:
                mine = {one.name_: one.acknowledged for one in writers if one.path == path}
                content = server.get(f"/{path}", timeout=60).body
                problems += [one for one in judge(path, content, mine) if lost(content, mine)
                             or "torn" in one]
        server.stop()
    return sum(counts.values()), problems


def lost(content, acknowledged):
    found = collections.Counter(line.split(b" ")[0].decode() for line in content.splitlines())
    return any(found[writer] < count for writer, count in acknowledged.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--sync", choices=["none", "publish"], default="none")
    parser.add_argument("--power-cut", action="store_true")
    arguments = parser.parse_args()
    if arguments.power_cut:
        arguments.sync = "publish"
        if power.not_here():
            print(power.not_here())
            return 77
    print(f"append crash: seed={arguments.seed} rounds={arguments.rounds} sync={arguments.sync}"
          f" power_cut={arguments.power_cut}", flush=True)
    pick = random.Random(arguments.seed)
    acknowledged = 0
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="skein-append-") as name:
            place = pathlib.Path(name)
            (place / "run").mkdir()
            env = {"SKEIN_RUN_DIR": str(place / "run"), "SKEIN_CONFIG": ""}
            count, problems = one_round(place, env, pick, arguments.sync, arguments.power_cut)
        acknowledged += count
        if problems:
            print(f"round {number}: {len(problems)} problems\n  " + "\n  ".join(problems[:20]))
            return 1
    print(f"append crash: {arguments.rounds} rounds, {acknowledged} acknowledged records, none lost,"
          " none torn, none doubled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
