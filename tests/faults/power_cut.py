#!/usr/bin/python3
"""Power cut under a data server on a disk that drops what was not flushed (volatile_disk.cc under a
loop device, ext4 on it).

After each cut, with --sync publish: every acknowledged file is whole and equal, and nothing else
visible is partial. With --sync none: what is served is whole and equal; the rest is refused.

usage: tests/faults/power_cut.py [--rounds N] [--seed S] [--sync none|publish]
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
from writers import LaneWriter, PipelineWriter, PutWriter, StageWriter, expected, judge  # noqa: E402


def served_wrong(server, names):
    """Problems of what a server serves after a cut, and how many files it refused as torn."""
    problems, refused = [], 0
    for name in names:
        reply = server.get("/" + name)
        refused += reply.status == 500
        if reply.status == 200 and reply.body != expected(name):
            problems.append(f"{name}: {len(reply.body)} bytes served as good")
    return problems, refused


def one_round(place, pick, number, sync):
    run_dir = place / "run"
    run_dir.mkdir(exist_ok=True)
    env, options = {"SKEIN_RUN_DIR": str(run_dir), "SKEIN_CONFIG": ""}, ["--sync", sync]
    disk = power.VolatileDisk(place, pick.randrange(1 << 31))
    with power.server_on(disk, env, options) as server:
        writers = [PutWriter(server, f"put{number}"), StageWriter(server, f"stage{number}"),
                   PipelineWriter(server, f"pipe{number}"),
                   LaneWriter(server, f"lane{number}", str(run_dir / f"{server.id}.sock"))]
        wait_s = pick.uniform(0.05, 1.5) + (1.2 if sync == "none" else 0)
        names = power.write_until_cut(server, disk, writers, wait_s, lambda: [
            name for writer in writers for name in list(writer.acknowledged)])
    with power.server_on(power.VolatileDisk(place, 0), env, options) as server:
        problems, refused = served_wrong(server, names)
        for name in pick.sample(names, min(20, len(names))) if sync == "publish" else []:
            reply = server.get("/" + name)
            if reply.status != 200 or reply.body != expected(name):
                problems.append(f"{name}: served with {reply.status}, {len(reply.body)} bytes")
        server.stop()
        if sync == "publish":
            problems += judge(server.root, set(names))
    return len(names), refused, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--sync", choices=["none", "publish"], default="publish")
    arguments = parser.parse_args()
    if power.not_here():
        print(power.not_here())
        return 77
    print(f"power cut: seed={arguments.seed} rounds={arguments.rounds} sync={arguments.sync}", flush=True)
    pick = random.Random(arguments.seed)
    acknowledged = refused = 0
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="skein-power-") as place:
            count, torn, problems = one_round(pathlib.Path(place), pick, number, arguments.sync)
        acknowledged += count
        refused += torn
        if problems:
            print(f"round {number}: {len(problems)} problems\n  " + "\n  ".join(problems[:20]))
            return 1
    kept = "none lost, none partial" if arguments.sync == "publish" else \
        f"{refused} torn and refused, none served partial"
    print(f"power cut: {arguments.rounds} rounds, {acknowledged} acknowledged files, {kept}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
