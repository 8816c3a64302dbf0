#!/usr/bin/python3
"""Power cut under a data server with --sync publish while eight writers append to HDF5 tables, on a
disk that drops what was not flushed (power.py). After each cut the server is started again, and
what table_crash.py asks of a kill must hold.

usage: tests/faults/table_power_cut.py [--rounds N] [--seed S]
exit status: 0 all rounds held; 1 a promise was broken; 2 wrong usage; 77 needs root, loop devices
and FUSE
"""
import argparse
import pathlib
import random
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]
import power  # noqa: E402
from table_crash import WRITERS, Writer, judge  # noqa: E402


def one_round(numpy, h5py, place, pick):
    env, options = {"SKEIN_RUN_DIR": str(place / "run"), "SKEIN_CONFIG": ""}, ["--sync", "publish"]
    (place / "run").mkdir()
    disk = power.VolatileDisk(place, pick.randrange(1 << 31))
    with power.server_on(disk, env, options) as server:
        writers = [Writer(numpy, server, n, 0) for n in range(WRITERS)]
        acknowledged = power.write_until_cut(server, disk, writers, pick.uniform(0.05, 2.0), lambda: [
            (writer.writer, n) for writer in writers for n in list(writer.acknowledged)])
    with power.server_on(power.VolatileDisk(place, 0), env, options) as server:
        problems = judge(numpy, h5py, server.root, acknowledged)
        if server.stop() != 0:
            problems.append("the server did not end in order")
    return len(acknowledged), problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments = parser.parse_args()
    if power.not_here():
        print(power.not_here())
        return 77
    import h5py
    import numpy
    print(f"table power cut: seed={arguments.seed} rounds={arguments.rounds}", flush=True)
    pick = random.Random(arguments.seed)
    total = 0
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="skein-power-") as place:
            count, problems = one_round(numpy, h5py, pathlib.Path(place), pick)
        total += count
        if problems:
            print(f"round {number}: {len(problems)} problems\n  " + "\n  ".join(problems[:20]))
            return 1
    print(f"table power cut: {arguments.rounds} rounds, {total} acknowledged appends, none lost,"
          " none torn, none twice")
    return 0


if __name__ == "__main__":
    sys.exit(main())
