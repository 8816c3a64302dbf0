#!/usr/bin/python3
"""kill -9 of the data server at random moments of PUT, pipelined PUT, stage, publish, mirror
and lane seal.

After each kill: every acknowledged file is whole and equal, no partial file is visible or served,
staging holds nothing a restart did not mean to keep, and the next start serves.

usage: tests/faults/crash_matrix.py [--rounds N] [--seed S] [--sync none|publish]
exit status: 0 all rounds held; 1 a promise was broken (the seed replays the moments); 2 wrong usage
"""
import argparse
import collections
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
from harness import Server  # noqa: E402
from writers import (LaneWriter, MirrorWriter, PipelineWriter, PutWriter, RawWriter,  # noqa: E402
                     StageWriter, expected, judge)


MIRRORED = "mirrored"


def one_round(root, run_dir, moment_s, number, sync, source):
    env = {"SKEIN_RUN_DIR": str(run_dir), "SKEIN_CONFIG": ""}
    server = Server(root, env=env, args=["--sync", sync, "--mirror-from",
                                         f"{source.host}:{source.port}"])
    writers = [PutWriter(server, f"put{number}"), PutWriter(server, f"more{number}"),
               StageWriter(server, f"stage{number}"), PipelineWriter(server, f"pipe{number}"),
               RawWriter(server, f"raw{number}"),
               MirrorWriter(server, MIRRORED, source),
               LaneWriter(server, f"lane{number}", str(run_dir / f"{server.id}.sock"))]
    for writer in writers:
        writer.start()
    # The moment of the kill is what the test is about: a wait, not a sleep in place of a condition.
    threading.Event().wait(moment_s)
    server.stop(sig=signal.SIGKILL)
    for writer in writers:
        writer.join(30)
    problems = [w.problem for w in writers if w.problem]
    problems += [f"{type(w).__name__} did not notice the death" for w in writers if w.is_alive()]
    return [name for w in writers for name in w.acknowledged], problems


def served_equal(root, run_dir, names, pick, sync):
    """A restart serves what was acknowledged, and staging holds only whole stages."""
    env = {"SKEIN_RUN_DIR": str(run_dir), "SKEIN_CONFIG": ""}
    server = Server(root, env=env, args=["--sync", sync] if sync != "none" else [])
    problems = []
    try:
        for name in pick.sample(names, min(20, len(names))):
            reply = server.get("/" + name)
            if reply.status != 200 or reply.body != expected(name):
                problems.append(f"{name}: served with {reply.status} and {len(reply.body)} bytes after restart")
        partial = [p.name for p in (pathlib.Path(root) / ".skein/stage").glob("*")
                   if len(p.name.split(".")[0]) != 36]
        problems += [f"left in staging: {name}" for name in partial]
    finally:
        if server.stop() != 0:
            problems.append("server did not end cleanly on SIGTERM")
    return problems


def run_rounds(arguments, pick, source):
    acknowledged = collections.Counter()
    for number in range(arguments.rounds):
        with tempfile.TemporaryDirectory(prefix="skein-crash-") as place:
            root, run_dir = pathlib.Path(place, "root"), pathlib.Path(place, "run")
            root.mkdir()
            run_dir.mkdir()
            names, problems = one_round(root, run_dir, pick.uniform(0.0, 0.6), number,
                                        arguments.sync, source)
            problems += judge(root, set(names))
            problems += served_equal(root, run_dir, names, pick, arguments.sync)
            acknowledged.update(name.split("/")[0].rstrip("0123456789") for name in names)
        if problems:
            print(f"round {number}: {len(problems)} problems\n  " + "\n  ".join(problems[:20]))
            return None
    return acknowledged


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--sync", choices=["none", "publish"], default="none")
    arguments = parser.parse_args()
    print(f"crash matrix: seed={arguments.seed} rounds={arguments.rounds} sync={arguments.sync}",
          flush=True)
    pick = random.Random(arguments.seed)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="skein-crash-") as place:
        source = Server(pathlib.Path(place, "source"), env={"SKEIN_RUN_DIR": place, "SKEIN_CONFIG": ""})
        try:
            MirrorWriter.fill(source, MIRRORED)
            acknowledged = run_rounds(arguments, pick, source)
        finally:
            source.stop()
    if acknowledged is None:
        return 1
    by_way = ", ".join(f"{way} {count}" for way, count in sorted(acknowledged.items()))
    print(f"crash matrix: {arguments.rounds} rounds, {acknowledged.total()} acknowledged files"
          f" ({by_way}), none lost, none partial, {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
